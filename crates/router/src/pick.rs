//! Which endpoint: the better of two random ones (P2C), by latency times requests in flight. Pure.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the cost is Finagle's peak EWMA.

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::snapshot::Target;

/// What to do next for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Try the target with this index.
    Target(usize),
    /// Nobody is up. `until`: when the first of those that refused lately may be tried again.
    NobodyUp { until: Option<Mono> },
}

/// Picks among `targets` those that are in rotation, did not refuse lately and are not in `tried`; when all that are up
/// have been tried, one of those again.
pub(crate) fn pick(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono, rng: &mut Rng) -> Pick {
    let up = |target: &&Target| target.in_rotation && target.endpoint.down(now).is_none();
    let fresh = |target: &&Target| up(target) && !tried(target);
    match better_of_two(targets, fresh, now, rng).or_else(|| better_of_two(targets, up, now, rng)) {
        Some(index) => Pick::Target(index),
        None => Pick::NobodyUp {
            until: targets.iter().filter(|t| t.in_rotation).filter_map(|t| t.endpoint.down(now)).min(),
        },
    }
}

/// Whether any target but those tried could be picked now.
pub(crate) fn another(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono) -> bool {
    targets.iter().any(|t| t.in_rotation && t.endpoint.down(now).is_none() && !tried(t))
}

fn better_of_two(targets: &[Target], eligible: impl Fn(&&Target) -> bool, now: Mono, rng: &mut Rng) -> Option<usize> {
    let count = targets.iter().filter(|t| eligible(t)).count();
    let nth = |n: usize| targets.iter().enumerate().filter(|(_, t)| eligible(t)).nth(n).map(|(index, _)| index);
    if count < 2 {
        return if count == 0 { None } else { nth(0) };
    }
    let first = rng.usize(..count);
    // Any other than the first, all equally likely.
    let second = (first + 1 + rng.usize(..count - 1)) % count;
    let (first, second) = (nth(first)?, nth(second)?);
    let cheaper = targets[second].endpoint.load(now) < targets[first].endpoint.load(now);
    Some(if cheaper { second } else { first })
}
