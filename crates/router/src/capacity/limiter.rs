//! A bounded number of requests under way at once, over all workers, and a line before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use stdx::clock::{Mono, SharedClock};

use crate::capacity::door::{Door, Wish};
use crate::capacity::line::Priority;
use crate::capacity::shed::Shed;
use crate::capacity::sizer::{Bounds, Sizer};
use crate::config::LimitConfig;

/// The number that an adaptive limit begins with, within its bounds.
const FIRST_GUESS: u32 = 20;
/// The share of the newest answer in the average of what answers take: one in eight, as TCP smooths its round trips.
const SMOOTHING: u64 = 8;
/// The longest `Retry-After` that a client is told.
const RETRY_AFTER_MAX_S: u32 = 60;

/// The shared state of one limit.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    taken: AtomicU32,
    limit: AtomicU32,
    /// What an answer takes, in nanoseconds; 0 before the first.
    takes: AtomicU64,
    sizer: Sizer,
    door: Arc<Door>,
    shed: AtomicU64,
}

/// A request's place among those under way, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limiter>);

impl Limiter {
    /// Takes a configuration into force.
    pub(crate) fn configure(&self, config: &LimitConfig) {
        let bounds = bounds(config);
        let limit = if config.adaptive {
            let now = self.limit.load(Relaxed);
            (if now == 0 { FIRST_GUESS } else { now }).clamp(bounds.least, bounds.most)
        } else {
            config.in_flight_max
        };
        self.set(limit);
    }

    /// A place, at once or in turn.
    ///
    /// # Errors
    /// Why there is none in time.
    pub(crate) async fn enter(
        self: &Arc<Limiter>,
        config: &LimitConfig,
        priority: Priority,
        deadline: Mono,
        clock: &SharedClock,
    ) -> Result<Permit, Shed> {
        if self.door.waiting() == 0
            && let Some(permit) = self.take()
        {
            return Ok(permit);
        }
        let entered = self.wait(config, priority, deadline, clock).await;
        if entered.is_err() {
            self.shed.fetch_add(1, Relaxed);
        }
        entered
    }

    async fn wait(
        self: &Arc<Limiter>,
        config: &LimitConfig,
        priority: Priority,
        deadline: Mono,
        clock: &SharedClock,
    ) -> Result<Permit, Shed> {
        let now = clock.mono();
        let takes = Duration::from_nanos(self.takes.load(Relaxed));
        if now + self.line_takes(self.door.before(priority)) + takes > deadline {
            return Err(Shed::Hopeless);
        }
        let latest = Mono(deadline.0.saturating_sub(u64::try_from(takes.as_nanos()).unwrap_or(u64::MAX)));
        let until = (now + Duration::from_millis(u64::from(config.wait_ms))).min(latest);
        let wish = Wish { priority, until, most: config.waiting_max as usize };
        self.door.seat(wish, clock, || self.take()).await
    }

    fn take(self: &Arc<Limiter>) -> Option<Permit> {
        let limit = self.limit.load(SeqCst);
        let taken = self.taken.fetch_update(SeqCst, SeqCst, |taken| (taken < limit).then_some(taken + 1));
        taken.is_ok().then(|| Permit(Arc::clone(self)))
    }

    /// How long it takes until so many have left.
    fn line_takes(&self, before: usize) -> Duration {
        let limit = u64::from(self.limit.load(Relaxed).max(1));
        Duration::from_nanos(self.takes.load(Relaxed).saturating_mul(before as u64) / limit)
    }

    /// A request under way was answered after `latency`, or, `None`, not in time.
    pub(crate) fn observe(&self, config: &LimitConfig, now: Mono, latency: Option<Duration>) {
        if let Some(latency) = latency {
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX >> 8);
            let known = self.takes.load(Relaxed);
            let next = if known == 0 { nanos } else { known - known / SMOOTHING + nanos / SMOOTHING };
            self.takes.store(next, Relaxed);
        }
        if config.adaptive {
            let (taken, limit) = (self.taken.load(Relaxed), self.limit.load(Relaxed));
            if let Some(next) = self.sizer.observe(now, latency, taken, limit, bounds(config)) {
                self.set(next);
            }
        }
    }

    fn set(&self, limit: u32) {
        let before = self.limit.swap(limit, SeqCst);
        for _ in before..limit {
            self.door.freed();
        }
    }

    /// When somebody who was turned away may come again, in seconds.
    pub(crate) fn retry_after_s(&self) -> u32 {
        let time = self.line_takes(self.door.waiting() as usize);
        u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).clamp(1, RETRY_AFTER_MAX_S)
    }

    /// How many are under way, the limit, how many wait, and how many were turned away so far.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            in_flight: self.taken.load(Relaxed),
            limit: self.limit.load(Relaxed),
            waiting: self.door.waiting(),
            shed: self.shed.load(Relaxed),
        }
    }
}

/// A limit at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests under way.
    pub in_flight: u32,
    /// How many there may be.
    pub limit: u32,
    /// Requests that wait for their turn.
    pub waiting: u32,
    /// Requests that were turned away since the limit was first there.
    pub shed: u64,
}

fn bounds(config: &LimitConfig) -> Bounds {
    Bounds { least: config.in_flight_min.min(config.in_flight_max), most: config.in_flight_max }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.taken.fetch_sub(1, SeqCst);
        // Where the limit has fallen below what is under way nothing became free.
        if before <= self.0.limit.load(SeqCst) {
            self.0.door.freed();
        }
    }
}

#[cfg(test)]
mod tests;
