//! The breaker: opens after failures in a row or at too small a share of successes, and closes after a probe. Pure.
//!
//! The design is linkerd2-proxy's unified breaker (its pull requests 4537 and 4561). A request that passes costs one
//! atomic load before and one relaxed addition after; all workers share the state.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use stdx::clock::Mono;

use crate::capacity::manual::{ByHand, Manual};
use crate::config::BreakerConfig;
use crate::ring::Ring;

/// Parts of the window; the oldest leaves whole.
const PARTS: usize = 10;
/// `gate` of a closed breaker.
const CLOSED: u64 = 0;
/// `gate` while a probe is under way.
const PROBING: u64 = u64::MAX;

/// The shared state of one breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// `CLOSED`, `PROBING`, or the time until which it is open.
    gate: AtomicU64,
    in_a_row: AtomicU32,
    /// How often it opened since it was last closed for good.
    openings: AtomicU32,
    closed_at: AtomicU64,
    closed_tick: AtomicU64,
    answered: Ring<PARTS>,
    failed: Ring<PARTS>,
    by_hand: ByHand,
}

/// How a request that a breaker let through may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The breaker is closed.
    Plain,
    /// It is open and this is its probe: the one that must say how it went, or give the turn back.
    Probe,
}

/// Why a breaker lets nothing through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closure {
    /// It opened; the next probe may go at `until`, `None` while one is under way.
    Open { until: Option<Mono> },
    /// Somebody tripped it by hand.
    Tripped,
}

/// What a request says about the one that answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// 429: it works, and wants less.
    Throttled,
    Bad,
}

impl Verdict {
    /// What a reply's status says.
    pub(crate) fn of_status(status: u16) -> Verdict {
        match status {
            429 => Verdict::Throttled,
            500.. => Verdict::Bad,
            _ => Verdict::Good,
        }
    }
}

/// What is known when a request has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) now: Mono,
    /// `None`: nothing can be concluded, for example because the client left.
    pub(crate) verdict: Option<Verdict>,
    /// What the reply asked for.
    pub(crate) retry_after: Option<Duration>,
    /// From 0 to 1, at random.
    pub(crate) jitter: f64,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// Nothing goes through for this much longer; zero when the next request will be a probe.
    Open(Duration),
    /// One request is under way to find out.
    Probing,
}

impl Breaker {
    /// Whether a request may go on, and how. Without a configuration only what was set by hand counts.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self, config: Option<&BreakerConfig>, now: Mono) -> Result<Pass, Closure> {
        match self.by_hand.at(now) {
            Manual::Tripped => return Err(Closure::Tripped),
            Manual::Closed => return Ok(Pass::Plain),
            Manual::Auto => {}
        }
        let gate = self.gate.load(Relaxed);
        if gate == CLOSED || config.is_none() {
            return Ok(Pass::Plain);
        }
        let due = gate != PROBING && gate <= now.0;
        if due && self.gate.compare_exchange(gate, PROBING, SeqCst, Relaxed).is_ok() {
            return Ok(Pass::Probe);
        }
        Err(Closure::Open { until: (gate != PROBING).then_some(Mono(gate)) })
    }

    /// A request that was let through has ended.
    pub(crate) fn settle(&self, config: &BreakerConfig, pass: Pass, ended: Ended) {
        match (pass, ended.verdict) {
            (Pass::Probe, Some(Verdict::Good)) => self.close(config, ended.now),
            (Pass::Probe, Some(Verdict::Throttled | Verdict::Bad)) => self.open(config, PROBING, &ended),
            (Pass::Probe, None) => self.give_back(ended.now),
            (Pass::Plain, Some(verdict)) => self.count(config, verdict, &ended),
            (Pass::Plain, None) => {}
        }
    }

    /// A probe ended without a word; the next request may be one at once.
    pub(crate) fn give_back(&self, now: Mono) {
        self.gate.store(now.0.max(1), SeqCst);
    }

    fn count(&self, config: &BreakerConfig, verdict: Verdict, ended: &Ended) {
        // What was sent before it opened and ends after says nothing new.
        if self.gate.load(Relaxed) != CLOSED {
            return;
        }
        let tick = tick(config, ended.now);
        self.answered.add(tick);
        if verdict == Verdict::Good {
            // Read first: most of the time there is nothing to write, and nothing for other cores to fetch.
            if self.in_a_row.load(Relaxed) != 0 {
                self.in_a_row.store(0, Relaxed);
            }
            return;
        }
        self.failed.add(tick);
        let in_a_row = if verdict == Verdict::Bad { self.in_a_row.fetch_add(1, Relaxed) + 1 } else { 0 };
        let too_many = config.failures_in_a_row != 0 && in_a_row >= config.failures_in_a_row;
        if (too_many || self.share_is_small(config, tick)) && self.by_hand.at(ended.now) == Manual::Auto {
            self.open(config, CLOSED, ended);
        }
    }

    fn share_is_small(&self, config: &BreakerConfig, tick: u64) -> bool {
        // What was counted in the very tick in which it closed is left out with what was before.
        let closed = self.closed_tick.load(Relaxed);
        let window = || (closed + 1).max(tick.saturating_sub(PARTS as u64 - 1))..=tick;
        let (answered, failed) = (self.answered.sum(window()), self.failed.sum(window()));
        let good = answered.saturating_sub(failed);
        answered >= u64::from(config.requests_min) && good * 100 < answered * u64::from(config.success_percent)
    }

    /// Opens it, longer from time to time, unless another worker has done so.
    fn open(&self, config: &BreakerConfig, from: u64, ended: &Ended) {
        let longest = ms(config.pause_longest_ms);
        let steady = ended.now.since(Mono(self.closed_at.load(Relaxed))) > longest;
        let before = if from == CLOSED && steady { 0 } else { self.openings.load(Relaxed).min(16) };
        let pause = ms(config.pause_ms).saturating_mul(1 << before).min(longest).mul_f64(0.75 + 0.5 * ended.jitter);
        let pause = pause.max(ended.retry_after.unwrap_or_default().min(longest));
        let until = (ended.now + pause).0.max(1);
        if self.gate.compare_exchange(from, until, SeqCst, Relaxed).is_ok() {
            self.openings.store(before + 1, Relaxed);
        }
    }

    fn close(&self, config: &BreakerConfig, now: Mono) {
        self.closed_tick.store(tick(config, now), Relaxed);
        self.in_a_row.store(0, Relaxed);
        self.closed_at.store(now.0, Relaxed);
        self.gate.store(CLOSED, SeqCst);
    }

    /// Whether it lets nothing through: it is open and its pause is not over, or its probe is under way.
    pub(crate) fn is_shut(&self, now: Mono) -> bool {
        let gate = self.gate.load(Relaxed);
        gate != CLOSED && gate > now.0
    }

    /// Whether the next request would be its probe.
    pub(crate) fn is_due(&self, now: Mono) -> bool {
        let gate = self.gate.load(Relaxed);
        gate != CLOSED && gate <= now.0
    }

    /// Whether nothing at all has to be asked of it: it is closed, and nobody has set it by hand.
    pub(crate) fn at_rest(&self) -> bool {
        self.gate.load(Relaxed) == CLOSED && self.by_hand.is_auto()
    }

    /// Where it stands by itself.
    pub(crate) fn state(&self, now: Mono) -> BreakerState {
        match self.gate.load(Relaxed) {
            CLOSED => BreakerState::Closed,
            PROBING => BreakerState::Probing,
            until => BreakerState::Open(Mono(until).since(now)),
        }
    }

    /// What was set by hand.
    pub(crate) fn by_hand(&self) -> &ByHand {
        &self.by_hand
    }

    /// How often it opened since it was last closed for good.
    pub(crate) fn openings(&self) -> u32 {
        self.openings.load(Relaxed)
    }
}

/// The part of the window that `now` is in, counted from one.
fn tick(config: &BreakerConfig, now: Mono) -> u64 {
    let part_ns = u64::from(config.window_ms) * 1_000_000 / PARTS as u64;
    now.0 / part_ns.max(1) + 1
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests;
