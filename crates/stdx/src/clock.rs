//! Wall and monotonic time, kept apart by type.
//!
//! Delays and due times are wall times and survive a restart; leases, timeouts and intervals are monotonic, so that
//! a jump of the wall clock neither frees nor freezes anything.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point on the monotonic clock: nanoseconds since an origin that means nothing outside this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// A point on the wall clock: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Mono {
    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Wall {
    /// Milliseconds since the epoch, rounded down.
    pub fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// From milliseconds since the epoch; saturates in the year 2554.
    pub fn from_millis(ms: u64) -> Wall {
        Wall(ms.saturating_mul(1_000_000))
    }

    /// The time from `earlier` to `self`, zero when the clock went backwards.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_add(nanos(rhs)))
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;
    fn add(self, rhs: Duration) -> Wall {
        Wall(self.0.saturating_add(nanos(rhs)))
    }
}

impl Sub<Duration> for Wall {
    type Output = Wall;
    fn sub(self, rhs: Duration) -> Wall {
        Wall(self.0.saturating_sub(nanos(rhs)))
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// The only place that tells the time. Cores take `Mono` and `Wall` as arguments; shells ask a `Clock`.
pub trait Clock: Send + Sync + 'static {
    /// Now on the monotonic clock.
    fn mono(&self) -> Mono;
    /// Now on the wall clock.
    fn wall(&self) -> Wall;
    /// How long the machine has slept since some moment: time that the wall clock has and the monotonic one has not.
    fn asleep(&self) -> Duration {
        Duration::ZERO
    }
}

/// A clock that many owners share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    pub fn new() -> SystemClock {
        SystemClock { origin: Instant::now() }
    }

    /// The same, ready to be shared.
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock::new())
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono(nanos(self.origin.elapsed()))
    }

    fn wall(&self) -> Wall {
        Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos))
    }

    fn asleep(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        of(ClockId::Boottime).saturating_sub(of(ClockId::Monotonic))
    }
}
