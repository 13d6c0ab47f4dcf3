//! Silences that have to be said: nobody has checked something for three intervals. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

/// A silence that began, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm<K> {
    /// Nobody has checked it for three intervals; how old the last answer is.
    Unchecked(K, Duration),
    /// It is checked again.
    Checked(K),
}

/// One of those that should be checked, as it is seen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<K> {
    /// What it is.
    pub key: K,
    /// How old its last answer is.
    pub age: Duration,
    /// Nobody has checked it for three intervals.
    pub unchecked: bool,
}

/// Those whose silence has been said.
#[derive(Debug)]
pub struct Silences<K>(BTreeSet<K>);

impl<K: Ord> Default for Silences<K> {
    fn default() -> Silences<K> {
        Silences(BTreeSet::new())
    }
}

impl<K: Ord + Clone> Silences<K> {
    /// Looks at all of them; tells what began or ended since the last look. What is gone is not told: nobody means to check it.
    pub fn look(&mut self, all: impl IntoIterator<Item = Seen<K>>) -> Vec<Alarm<K>> {
        let mut said = BTreeSet::new();
        let mut alarms = Vec::new();
        for Seen { key, age, unchecked } in all {
            let was_said = self.0.contains(&key);
            match unchecked {
                true if !was_said => alarms.push(Alarm::Unchecked(key.clone(), age)),
                false if was_said => alarms.push(Alarm::Checked(key.clone())),
                _ => {}
            }
            if unchecked {
                said.insert(key);
            }
        }
        self.0 = said;
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_said_once_and_so_is_its_end() {
        let seen = |key, age, unchecked| Seen { key, age: Duration::from_secs(age), unchecked };
        let mut silences = Silences::default();
        assert_eq!(silences.look([seen("a", 1, false), seen("b", 1, false)]), []);
        let began = silences.look([seen("a", 4, true), seen("b", 1, false)]);
        assert_eq!(began, [Alarm::Unchecked("a", Duration::from_secs(4))]);
        assert_eq!(silences.look([seen("a", 9, true), seen("b", 1, false)]), []);
        assert_eq!(silences.look([seen("a", 0, false), seen("b", 4, true)]).len(), 2);
        assert_eq!(silences.look([]), [], "what is gone is no alarm");
        assert_eq!(silences.look([seen("b", 0, false)]), []);
    }
}
