//! A bounded line of those who wait, by priority. Pure: who they are and how they are called is the caller's affair.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::clock::Mono;

/// A line that has not been empty for so long is standing: whoever has waited longest in it is the least likely to be
/// still wanted, so the newest goes first (adaptive LIFO, as in Facebook's "Fail at Scale").
const STANDING: Duration = Duration::from_millis(100);

/// A priority; 0 comes first.
pub(crate) type Priority = u8;
/// Priorities there are.
const PRIORITIES: usize = 8;

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    priority: Priority,
    number: u64,
}

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Line<T> {
    places: BTreeMap<Ticket, T>,
    /// How many there are of each priority.
    of: [usize; PRIORITIES],
    next: u64,
    busy_since: Option<Mono>,
    standing: bool,
}

/// What became of somebody who wanted to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined<T> {
    /// In the line; `instead_of` had to leave it.
    Waits { ticket: Ticket, instead_of: Option<T> },
    /// The line is full, and nobody in it comes after.
    Full,
}

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line { places: BTreeMap::new(), of: [0; PRIORITIES], next: 0, busy_since: None, standing: false }
    }
}

impl<T> Line<T> {
    /// Joins, with a priority from 0 to 7, a line of at most `most`. When it is full, the one of a lower priority whose turn would come last gives way.
    pub(crate) fn join(&mut self, priority: Priority, waiter: T, most: usize, now: Mono) -> Joined<T> {
        let since = *self.busy_since.get_or_insert(now);
        self.standing = now.since(since) > STANDING;
        let mut instead_of = None;
        if self.places.len() >= most {
            match self.last() {
                Some(last) if last.priority > priority => instead_of = self.leave(last),
                _ => return Joined::Full,
            }
        }
        let ticket = Ticket { priority, number: self.next };
        self.next += 1;
        self.rejoin(ticket, waiter);
        Joined::Waits { ticket, instead_of }
    }

    /// Goes back to where `ticket` was.
    pub(crate) fn rejoin(&mut self, ticket: Ticket, waiter: T) {
        self.places.insert(ticket, waiter);
        self.of[usize::from(ticket.priority) % PRIORITIES] += 1;
    }

    /// Takes out whoever comes first.
    pub(crate) fn call(&mut self) -> Option<T> {
        let first = self.first()?;
        self.leave(first)
    }

    /// Who comes first.
    pub(crate) fn first(&self) -> Option<Ticket> {
        let (first, _) = self.places.first_key_value()?;
        if self.standing { self.newest(first.priority) } else { Some(*first) }
    }

    fn last(&self) -> Option<Ticket> {
        let (last, _) = self.places.last_key_value()?;
        if self.standing { self.oldest(last.priority) } else { Some(*last) }
    }

    /// Takes somebody out, if it is still in the line.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let waiter = self.places.remove(&ticket)?;
        self.of[usize::from(ticket.priority) % PRIORITIES] -= 1;
        if self.places.is_empty() {
            self.busy_since = None;
            self.standing = false;
        }
        Some(waiter)
    }

    /// How many would go before a newcomer of this priority.
    pub(crate) fn before(&self, priority: Priority) -> usize {
        let upto = usize::from(priority) % PRIORITIES + usize::from(!self.standing);
        self.of[..upto].iter().sum()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    fn newest(&self, priority: Priority) -> Option<Ticket> {
        self.places.range(..=last_of(priority)).next_back().map(|(ticket, _)| *ticket)
    }

    fn oldest(&self, priority: Priority) -> Option<Ticket> {
        self.places.range(Ticket { priority, number: 0 }..).next().map(|(ticket, _)| *ticket)
    }
}

fn last_of(priority: Priority) -> Ticket {
    Ticket { priority, number: u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn line(priorities: &[Priority], now: Mono) -> Line<usize> {
        let mut line = Line::default();
        for (who, priority) in priorities.iter().enumerate() {
            assert!(matches!(line.join(*priority, who, 100, now), Joined::Waits { .. }));
        }
        line
    }

    fn order(line: &mut Line<usize>) -> Vec<usize> {
        std::iter::from_fn(|| line.call()).collect()
    }

    #[test]
    fn by_priority_and_within_one_in_the_order_of_arrival() {
        assert_eq!(order(&mut line(&[4, 1, 4, 0, 1], Mono(0))), [3, 1, 4, 0, 2]);
    }

    #[test]
    fn in_a_standing_line_the_newest_of_a_priority_goes_first_until_it_was_empty() {
        let mut line = line(&[4, 1, 4], Mono(0));
        line.join(4, 3, 100, Mono(0) + STANDING * 2);
        assert_eq!(order(&mut line), [1, 3, 2, 0]);
        line.join(4, 5, 100, Mono(0) + STANDING * 3);
        line.join(4, 6, 100, Mono(0) + STANDING * 3);
        assert_eq!(order(&mut line), [5, 6]);
    }

    #[test]
    fn a_full_line_makes_room_only_for_those_who_come_before_its_last() {
        let mut line = line(&[4, 4, 1], Mono(0));
        assert_eq!(line.join(4, 9, 3, Mono(0)), Joined::Full);
        assert!(matches!(line.join(1, 9, 3, Mono(0)), Joined::Waits { instead_of: Some(1), .. }));
        assert!(matches!(line.join(0, 10, 3, Mono(0)), Joined::Waits { instead_of: Some(0), .. }));
        assert_eq!(line.join(2, 11, 3, Mono(0)), Joined::Full);
        assert_eq!(order(&mut line), [10, 2, 9]);
        assert_eq!(Line::default().join(0, 1, 0, Mono(0)), Joined::Full);
    }

    #[test]
    fn how_many_go_before_a_newcomer() {
        let line = line(&[4, 1, 4, 0, 1], Mono(0));
        assert_eq!([0, 1, 2, 4, 7].map(|priority| line.before(priority)), [1, 3, 3, 5, 5]);
    }

    proptest! {
        #[test]
        fn nobody_is_lost_or_called_twice_and_the_first_is_always_of_the_best_priority(
            steps in prop::collection::vec((any::<u8>(), 0_u8..8, 0_u64..80), 1..200),
        ) {
            let (mut line, mut now, mut inside) = (Line::default(), 0, Vec::<(Ticket, Priority)>::new());
            for (who, (kind, priority, later)) in steps.into_iter().enumerate() {
                now += later * 1_000_000;
                match kind % 4 {
                    0 | 1 => match line.join(priority, who, 10, Mono(now)) {
                        Joined::Waits { ticket, instead_of } => {
                            prop_assert_eq!(instead_of.is_some(), inside.len() == 10);
                            if instead_of.is_some() {
                                let worst = inside.iter().map(|one| one.1).max();
                                inside.retain(|(one, _)| line.places.contains_key(one));
                                prop_assert!(worst > Some(priority));
                            }
                            inside.push((ticket, priority));
                        }
                        Joined::Full => {
                            prop_assert_eq!(inside.len(), 10);
                            prop_assert!(inside.iter().all(|one| one.1 <= priority));
                        }
                    },
                    2 => {
                        let best = inside.iter().map(|one| one.1).min();
                        let first = line.first();
                        prop_assert_eq!(first.map(|ticket| ticket.priority), best);
                        prop_assert_eq!(line.call().is_some(), first.is_some());
                        inside.retain(|(one, _)| Some(*one) != first);
                    }
                    _ => {
                        if let Some((ticket, _)) = inside.pop() {
                            prop_assert!(line.leave(ticket).is_some());
                            prop_assert!(line.leave(ticket).is_none());
                        }
                    }
                }
                prop_assert_eq!(line.len(), inside.len());
            }
        }
    }
}
