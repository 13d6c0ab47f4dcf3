//! How much an application may leave out, from 0 to 3: set by hand, or by load. Pure.
//!
//! Load is what the limits of the application's routes turn away: a share of its requests. The level rises by one a second
//! at the most, and falls by one after ten quiet seconds, so that a level which helps is not given up at once.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use stdx::clock::Mono;

use crate::ring::Ring;

/// The highest level.
pub(crate) const LEVEL_MAX: u8 = 3;
/// Requests turned away per thousand, from which on a level is called for.
const CALLS_FOR: [u64; LEVEL_MAX as usize] = [10, 100, 300];
/// Seconds that are looked back on, and the one that is under way.
const PLACES: usize = 6;
/// Seconds without a call for its level, after which an application's level falls.
const QUIET_S: u64 = 10;
/// `by_hand` when nothing is set by hand.
const AUTO: u8 = u8::MAX;

/// The shared state of one application.
#[derive(Debug)]
pub(crate) struct AppState {
    by_hand: AtomicU8,
    by_load: AtomicU8,
    asked: Ring<PLACES>,
    turned_away: Ring<PLACES>,
    /// The second that was looked at last, and the last one in which the level was called for.
    looked: AtomicU64,
    called: AtomicU64,
}

impl Default for AppState {
    fn default() -> AppState {
        AppState {
            by_hand: AtomicU8::new(AUTO),
            by_load: AtomicU8::new(0),
            asked: Ring::default(),
            turned_away: Ring::default(),
            looked: AtomicU64::new(0),
            called: AtomicU64::new(0),
        }
    }
}

impl AppState {
    /// The level in force.
    pub(crate) fn level(&self) -> u8 {
        match self.by_hand.load(Relaxed) {
            AUTO => self.by_load.load(Relaxed),
            level => level,
        }
    }

    /// Sets a level by hand, or leaves it to load again.
    pub(crate) fn set(&self, level: Option<u8>) {
        self.by_hand.store(level.map_or(AUTO, |level| level.min(LEVEL_MAX)), Relaxed);
    }

    /// What is set by hand, and what load says.
    pub(crate) fn both(&self) -> (Option<u8>, u8) {
        let by_hand = self.by_hand.load(Relaxed);
        ((by_hand != AUTO).then_some(by_hand), self.by_load.load(Relaxed))
    }

    /// A request came to a limit, and passed it or was turned away.
    pub(crate) fn counted(&self, now: Mono, passed: bool) {
        let second = second(now);
        self.asked.add(second);
        if !passed {
            self.turned_away.add(second);
        }
        self.look(now);
    }

    /// Looks, once a second, whether the level is right. Called with requests, and from time to time without.
    pub(crate) fn look(&self, now: Mono) {
        let second = second(now);
        let looked = self.looked.load(Relaxed);
        if second <= looked || self.looked.compare_exchange(looked, second, Relaxed, Relaxed).is_err() {
            return;
        }
        // The second that has just begun says nothing yet.
        let window = second.saturating_sub(PLACES as u64 - 1)..=second - 1;
        let (asked, turned_away) = (self.asked.sum(window.clone()), self.turned_away.sum(window));
        let wanted = CALLS_FOR.iter().filter(|share| turned_away * 1_000 >= **share * asked.max(1)).count() as u8;
        let level = self.by_load.load(Relaxed);
        if wanted >= level && wanted > 0 {
            self.called.store(second, Relaxed);
        }
        if wanted > level {
            self.by_load.store(level + 1, Relaxed);
        } else if wanted < level && second > self.called.load(Relaxed) + QUIET_S {
            self.by_load.store(level - 1, Relaxed);
            self.called.store(second, Relaxed);
        }
    }
}

fn second(now: Mono) -> u64 {
    now.0 / 1_000_000_000 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono((100_000 + ms) * 1_000_000)
    }

    /// Seconds of a hundred requests each, of which so many are turned away; the level after each second.
    fn levels(app: &AppState, from_s: u64, seconds: &[u32]) -> Vec<u8> {
        let mut levels = Vec::new();
        for (second, away) in (from_s..).zip(seconds) {
            for n in 0..100 {
                app.counted(at(second * 1_000 + u64::from(n) * 9), n >= *away);
            }
            app.look(at(second * 1_000 + 1_000));
            levels.push(app.level());
        }
        levels
    }

    #[test]
    fn it_rises_step_by_step_as_far_as_load_calls_for() {
        assert_eq!(levels(&AppState::default(), 0, &[0, 0, 90, 90, 90, 90]), [0, 0, 1, 2, 3, 3]);
        assert_eq!(levels(&AppState::default(), 0, &[5, 5, 5, 5, 5]), [1; 5]);
        assert_eq!(levels(&AppState::default(), 0, &[0; 20]), [0; 20]);
    }

    #[test]
    fn it_falls_slowly_and_only_when_it_is_quiet() {
        let app = AppState::default();
        levels(&app, 0, &[20; 10]);
        assert_eq!(app.level(), 2);
        let after = levels(&app, 10, &[0; 40]);
        assert!(after[..10].iter().all(|level| *level == 2), "{after:?}");
        assert_eq!(after[39], 0);
        assert!(after.is_sorted_by(|a, b| a >= b && a - b <= 1), "{after:?}");
    }

    #[test]
    fn it_falls_without_a_single_request() {
        let app = AppState::default();
        levels(&app, 0, &[90; 5]);
        for second in 5..60 {
            app.look(at(second * 1_000));
        }
        assert_eq!(app.level(), 0);
    }

    #[test]
    fn by_hand_goes_before_load() {
        let app = AppState::default();
        levels(&app, 0, &[90; 5]);
        app.set(Some(1));
        assert_eq!((app.level(), app.both()), (1, (Some(1), 3)));
        app.set(Some(9));
        assert_eq!(app.level(), 3);
        app.set(None);
        assert_eq!((app.level(), app.both()), (3, (None, 3)));
    }
}
