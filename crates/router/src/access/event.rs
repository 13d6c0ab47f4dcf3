//! What else decided about a request: budget, breaker, limiter, fault. An ordinary request has none of them.

use std::fmt;
use std::time::Duration;

use super::TryKind;
pub use crate::fault::{Strike, StrikeEnd};

/// Something that decided about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// From the request's head.
    pub at: Duration,
    /// What it was.
    pub what: What,
}

/// What decided. Its `Display` is the sentence that `forebay why` prints; a new one needs a word and a sentence here, and
/// an `Exchange::note` where it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The upstream's budget did not bear one more try.
    BudgetDenied(TryKind),
    /// The route's breaker is open and this request is its probe.
    BreakerProbe,
    /// No copy had come far enough for this client: the primary was asked.
    ToPrimary,
    /// Its answer had been recorded for an earlier request with the same idempotency key.
    AnsweredBefore,
    /// The route's other upstream is asked instead.
    Fallback,
    /// A kept answer was given.
    CacheHit,
    /// A kept answer was given that was fresh no more.
    CacheStale,
    /// It shared a fetch that another request had begun.
    CacheShared,
    /// The route's cache had no answer to it.
    CacheMiss(&'static str),
    /// Its page went out without this fragment.
    FragmentDropped(Box<str>, Unfit),
    /// An older copy stands for this fragment in its page.
    FragmentStale(Box<str>),
    /// It is a fragment, and its page went out without it.
    FragmentLate(esi::Why),
    /// It waited so long for a place among those under way.
    Waited(Duration),
    /// The next try met a fault that was set by hand.
    Fault(Strike),
}

impl What {
    /// The words of all.
    pub const WORDS: [&str; 14] = [
        "budget_denied",
        "breaker_probe",
        "waited",
        "fault",
        "fallback",
        "answered_before",
        "to_primary",
        "cache_hit",
        "cache_stale",
        "cache_shared",
        "cache_miss",
        "fragment_dropped",
        "fragment_stale",
        "fragment_late",
    ];

    /// A stable word for machines.
    pub fn word(&self) -> &'static str {
        What::WORDS[self.place()]
    }

    /// Its place among [`What::WORDS`].
    pub(crate) fn place(&self) -> usize {
        match self {
            What::BudgetDenied(_) => 0,
            What::BreakerProbe => 1,
            What::Waited(_) => 2,
            What::Fault(_) => 3,
            What::Fallback => 4,
            What::AnsweredBefore => 5,
            What::ToPrimary => 6,
            What::CacheHit => 7,
            What::CacheStale => 8,
            What::CacheShared => 9,
            What::CacheMiss(_) => 10,
            What::FragmentDropped(..) => 11,
            What::FragmentStale(_) => 12,
            What::FragmentLate(_) => 13,
        }
    }
}

/// Why a page has none of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The rest of the page was ready.
    Slower,
    /// It had been waited for as long as allowed.
    Over,
    /// It could not be fetched, nor its `alt`.
    Failed,
    /// It may not be asked for.
    Refused,
    /// The page has too many.
    TooMany,
    /// The page has become too long.
    TooLong,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Slower => "the rest of its page was ready",
            Unfit::Over => "it took longer than its longest wait",
            Unfit::Failed => "it could not be fetched",
            Unfit::Refused => "no route names its host, or it is within itself",
            Unfit::TooMany => "the page has too many",
            Unfit::TooLong => "the page has become too long",
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::BreakerProbe => f.write_str("the route's breaker is open, and this request its probe"),
            What::CacheHit => f.write_str("the cache answered"),
            What::CacheStale => f.write_str("the cache answered, with what was fresh no more"),
            What::CacheShared => f.write_str("it shared a fetch that another request had begun"),
            What::CacheMiss(why) => write!(f, "the cache had no answer: {why}"),
            What::FragmentDropped(src, why) => write!(f, "fragment {src} dropped: {why}"),
            What::FragmentStale(src) => write!(f, "an older copy of the fragment {src} was given"),
            What::FragmentLate(why) => why.fmt(f),
            What::Fallback => f.write_str("the route's fallback is asked instead"),
            What::Waited(time) => write!(f, "it waited {} ms for its turn", time.as_millis()),
            What::BudgetDenied(kind) => write!(f, "no {}: the upstream's budget for more tries is spent", kind.word()),
            What::ToPrimary => {
                f.write_str("the client reads its own writes, and no copy has them yet: the primary was asked")
            }
            What::AnsweredBefore => f.write_str("the first answer for this idempotency key was given again"),
            What::Fault(strike) => write!(f, "a fault set by hand: {strike}"),
        }
    }
}
