//! The queue's own wall time: the machine's, without its jumps.
//!
//! Delays and pauses are kept as points in time, so that they outlive a restart. Were that the wall clock as it stands, one
//! that is set would free jobs before their time, or freeze them for as long as it was set back. So a jump, which the
//! monotonic clock does not make, is left out: the difference is kept from then on, in the log too. What the clock does
//! slowly, and the time that the machine sleeps, are no jumps.

use std::time::Duration;

use stdx::clock::{Clock, Mono, Wall};

/// A difference between two looks beyond which the wall clock was set. The queue looks each second at least.
const JUMP: Duration = Duration::from_secs(1);

/// How the queue's time stands to the machine's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    mono: Mono,
    wall: Wall,
    asleep: Duration,
    /// The wall clock is so much ahead of the queue's.
    ahead_ms: i64,
}

impl Steady {
    /// Goes on where the log says that it stood.
    pub(crate) fn new(clock: &dyn Clock, ahead_ms: i64) -> Steady {
        Steady { mono: clock.mono(), wall: clock.wall(), asleep: clock.asleep(), ahead_ms }
    }

    /// The queue's time now, and whether the wall clock has jumped since the last look.
    pub(crate) fn look(&mut self, clock: &dyn Clock) -> (Mono, Wall, bool) {
        let (mut mono, mut wall) = (clock.mono(), clock.wall());
        let mut jumped = false;
        if differ(self.wall + mono.since(self.mono), wall) {
            // Once more: much time may have passed between the two looks.
            (mono, wall) = (clock.mono(), clock.wall());
            let asleep = clock.asleep();
            let expected = self.wall + mono.since(self.mono) + asleep.saturating_sub(self.asleep);
            self.asleep = asleep;
            jumped = differ(expected, wall);
            if jumped {
                self.ahead_ms = self.ahead_ms.saturating_add(between_ms(expected, wall));
            }
        }
        (self.mono, self.wall) = (mono, wall);
        (mono, self.of(wall), jumped)
    }

    /// What has to be remembered of it.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms
    }

    fn of(&self, wall: Wall) -> Wall {
        let ahead = Duration::from_millis(self.ahead_ms.unsigned_abs());
        if self.ahead_ms < 0 { wall + ahead } else { wall - ahead }
    }
}

/// A point of the queue's time on the wall clock, which is so much ahead.
pub(crate) fn on_the_wall(ms: u64, ahead_ms: i64) -> u64 {
    ms.saturating_add_signed(ahead_ms)
}

fn differ(expected: Wall, wall: Wall) -> bool {
    wall.since(expected).max(expected.since(wall)) > JUMP
}

fn between_ms(from: Wall, to: Wall) -> i64 {
    let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    if to >= from { ms(to.since(from)) } else { -ms(from.since(to)) }
}

#[cfg(test)]
mod tests {
    use testkit::FakeClock;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn jumps_are_left_out_and_kept_in_mind() {
        let clock = FakeClock::new();
        let began = clock.wall();
        let mut steady = Steady::new(&clock, 0);
        clock.advance(Duration::from_secs(5));
        assert_eq!(steady.look(&clock), (clock.mono(), began + Duration::from_secs(5), false));
        clock.set_wall(clock.wall() + DAY);
        clock.advance(Duration::from_secs(1));
        assert_eq!(steady.look(&clock), (clock.mono(), began + Duration::from_secs(6), true));
        assert_eq!(steady.ahead_ms(), 86_400_000);
        assert_eq!(steady.look(&clock), (clock.mono(), began + Duration::from_secs(6), false));
        // Back, and a day more.
        clock.set_wall(clock.wall() - 2 * DAY);
        assert_eq!(steady.look(&clock), (clock.mono(), began + Duration::from_secs(6), true));
        assert_eq!(steady.ahead_ms(), -86_400_000);
        // A start goes on from there.
        let mut again = Steady::new(&clock, steady.ahead_ms());
        clock.advance(Duration::from_secs(1));
        assert_eq!(again.look(&clock), (clock.mono(), began + Duration::from_secs(7), false));
        assert_eq!(on_the_wall((began + Duration::from_secs(7)).millis(), again.ahead_ms()), clock.wall().millis());
    }

    #[test]
    fn what_a_clock_does_slowly_is_followed_and_so_is_sleep() {
        let clock = FakeClock::new();
        let mut steady = Steady::new(&clock, 0);
        for _ in 0..100 {
            clock.advance(Duration::from_secs(1));
            clock.set_wall(clock.wall() - Duration::from_millis(100));
            assert_eq!(steady.look(&clock), (clock.mono(), clock.wall(), false));
        }
        clock.sleep(8 * Duration::from_secs(3600));
        clock.advance(Duration::from_secs(1));
        assert_eq!(steady.look(&clock), (clock.mono(), clock.wall(), false));
        // Asleep, and set when it woke.
        clock.sleep(DAY);
        let expected = clock.wall();
        clock.set_wall(clock.wall() + DAY);
        assert_eq!(steady.look(&clock), (clock.mono(), expected, true));
    }
}
