//! A clock that is turned by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stdx::clock::{Clock, Mono, SharedClock, Wall};

/// Time that stands still until a test moves it. Clones show the same time.
#[derive(Clone, Debug)]
pub struct FakeClock {
    hands: Arc<Hands>,
}

#[derive(Debug)]
struct Hands {
    mono: AtomicU64,
    wall: AtomicU64,
    asleep: AtomicU64,
}

impl FakeClock {
    /// The monotonic clock one hour after its origin, the wall clock at 2026-01-01T00:00:00Z.
    pub fn new() -> FakeClock {
        let hands = Hands {
            mono: AtomicU64::new(3_600_000_000_000),
            wall: AtomicU64::new(1_767_225_600_000_000_000),
            asleep: AtomicU64::new(0),
        };
        FakeClock { hands: Arc::new(hands) }
    }

    /// The same clock as a `SharedClock`.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.hands.mono.fetch_add(by, Ordering::SeqCst);
        self.hands.wall.fetch_add(by, Ordering::SeqCst);
    }

    /// Lets the machine sleep: the monotonic clock stands still meanwhile.
    pub fn sleep(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.hands.wall.fetch_add(by, Ordering::SeqCst);
        self.hands.asleep.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall clock, forwards or backwards; the monotonic clock does not notice.
    pub fn set_wall(&self, to: Wall) {
        self.hands.wall.store(to.0, Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    fn default() -> FakeClock {
        FakeClock::new()
    }
}

impl Clock for FakeClock {
    fn mono(&self) -> Mono {
        Mono(self.hands.mono.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Wall {
        Wall(self.hands.wall.load(Ordering::SeqCst))
    }

    fn asleep(&self) -> Duration {
        Duration::from_nanos(self.hands.asleep.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_leaves_monotonic_time_alone() {
        let clock = FakeClock::new();
        let (mono, wall) = (clock.mono(), clock.wall());
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.mono().since(mono), Duration::from_secs(5));
        assert_eq!(clock.wall().since(wall), Duration::from_secs(5));
        clock.set_wall(wall - Duration::from_secs(60));
        assert_eq!(clock.mono().since(mono), Duration::from_secs(5));
        assert_eq!(wall.since(clock.wall()), Duration::from_secs(60));
    }
}
