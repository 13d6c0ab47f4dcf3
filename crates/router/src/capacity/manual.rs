//! What an operator has set by hand, and until when. Pure.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use stdx::clock::Mono;

/// What a route's breaker has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manual {
    /// It decides for itself.
    #[default]
    Auto,
    /// It lets nothing through.
    Tripped,
    /// It lets everything through.
    Closed,
}

/// Bits of the time until which a setting holds: nanoseconds for 146 years.
const TIME_BITS: u32 = 62;
const FOREVER: u64 = (1 << TIME_BITS) - 1;

/// A setting with its expiry in one word, so that no reader sees half of a change: the setting in the upper two bits, the
/// time in the others. 0: automatic.
#[derive(Debug, Default)]
pub(crate) struct ByHand(AtomicU64);

impl ByHand {
    /// Sets it; without `until` it holds until it is set again.
    pub(crate) fn set(&self, manual: Manual, until: Option<Mono>) {
        let time = until.map_or(FOREVER, |until| until.0.min(FOREVER));
        let word = match manual {
            Manual::Auto => 0,
            Manual::Tripped => 1 << TIME_BITS | time,
            Manual::Closed => 2 << TIME_BITS | time,
        };
        self.0.store(word, Relaxed);
    }

    /// What holds at `now`.
    pub(crate) fn at(&self, now: Mono) -> Manual {
        self.setting(now).0
    }

    /// What holds at `now`, and until when.
    pub(crate) fn setting(&self, now: Mono) -> (Manual, Option<Mono>) {
        let word = self.0.load(Relaxed);
        let time = word & FOREVER;
        let manual = match word >> TIME_BITS {
            1 => Manual::Tripped,
            2 => Manual::Closed,
            _ => Manual::Auto,
        };
        if time != FOREVER && time <= now.0 {
            return (Manual::Auto, None);
        }
        (manual, (manual != Manual::Auto && time != FOREVER).then_some(Mono(time)))
    }

    /// Whether nothing was ever set, or has been taken back; one that has merely expired says no.
    pub(crate) fn is_auto(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_ends_by_itself_or_when_it_is_set_again() {
        let by_hand = ByHand::default();
        assert!(by_hand.is_auto());
        by_hand.set(Manual::Tripped, Some(Mono(100)));
        assert_eq!(by_hand.setting(Mono(99)), (Manual::Tripped, Some(Mono(100))));
        assert_eq!(by_hand.setting(Mono(100)), (Manual::Auto, None));
        by_hand.set(Manual::Closed, None);
        assert_eq!(by_hand.setting(Mono(u64::MAX)), (Manual::Closed, None));
        by_hand.set(Manual::Auto, None);
        assert!(by_hand.is_auto());
    }
}
