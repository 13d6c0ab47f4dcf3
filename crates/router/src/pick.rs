//! Which endpoint: the better of two random ones (P2C), by latency times requests in flight. Pure.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the cost is Finagle's peak EWMA.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::balance::{self, Balance, Choice};
use crate::config::BalanceMethod;
use crate::snapshot::Target;

/// What to do next for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Try the target with this index.
    Target(usize),
    /// Nobody is up. `until`: when the first of those that refused lately may be tried again.
    NobodyUp { until: Option<Mono> },
}

/// Those to pick among, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Among<'a> {
    pub(crate) targets: &'a [Target],
    /// `None`: the better of two, all of the same weight.
    pub(crate) balance: Option<&'a Balance>,
    /// How many per hundred may be left alone because they fail; `None`: nobody is.
    pub(crate) ejected_percent: Option<u8>,
    /// How many each is to have under way at the most.
    pub(crate) each_most: Option<u32>,
    /// Whose turn it is.
    pub(crate) turn: &'a AtomicU64,
    pub(crate) choice: Choice,
}

/// Picks among those that are in rotation, did not refuse lately, are not left alone and not in `tried`, of the lowest
/// priority number that anybody of them has; when all that are up have been tried, one of those again.
pub(crate) fn pick(among: Among<'_>, tried: impl Fn(&Target) -> bool, now: Mono, rng: &mut Rng) -> Pick {
    let targets = among.targets;
    let believed = among.believes_in_ejection(now);
    if believed && among.choice.may_probe {
        let due = |target: &&Target| target.in_rotation && !tried(target) && target.endpoint.breaker.is_due(now);
        if let Some(index) = targets.iter().position(|target| due(&target)) {
            return Pick::Target(index);
        }
    }
    let left_alone = |target: &Target| believed && target.endpoint.breaker.is_shut(now);
    let well = |target: &Target| target.in_rotation && target.endpoint.down(now).is_none() && !left_alone(target);
    let tier = tier(targets, well);
    let up = |target: &&Target| well(target) && tier.is_none_or(|tier| target.priority == tier);
    let fresh = |target: &&Target| up(target) && !tried(target);
    let roomy =
        |target: &&Target| fresh(target) && among.each_most.is_none_or(|most| target.endpoint.in_flight() < most);
    let picked = match among.each_most {
        None => None,
        Some(_) => among.one_of(roomy, now, rng),
    };
    match picked.or_else(|| among.one_of(fresh, now, rng)).or_else(|| among.one_of(up, now, rng)) {
        Some(index) => Pick::Target(index),
        None => Pick::NobodyUp {
            until: targets.iter().filter(|t| t.in_rotation).filter_map(|t| t.endpoint.down(now)).min(),
        },
    }
}

/// Whether any target but those tried could be picked now.
pub(crate) fn another(targets: &[Target], tried: impl Fn(&Target) -> bool, now: Mono) -> bool {
    let well = |target: &Target| target.in_rotation && target.endpoint.down(now).is_none();
    let tier = tier(targets, well);
    targets.iter().any(|t| well(t) && tier.is_none_or(|tier| t.priority == tier) && !tried(t))
}

/// The priority of those that get requests now: the lowest number that anybody who is up has. `None`: all have the same.
fn tier(targets: &[Target], up: impl Fn(&Target) -> bool) -> Option<u16> {
    let first = targets.first()?.priority;
    if targets.iter().all(|target| target.priority == first) {
        return None;
    }
    targets.iter().filter(|target| up(target)).map(|target| target.priority).min()
}

impl Among<'_> {
    /// Whether those that fail are left alone: not when so many do that it cannot be their own fault.
    fn believes_in_ejection(&self, now: Mono) -> bool {
        let Some(percent) = self.ejected_percent else { return false };
        let staying = self.targets.iter().filter(|target| target.in_rotation);
        let (all, shut) = staying.fold((0, 0), |(all, shut), target| {
            (all + 1, shut + usize::from(target.endpoint.breaker.is_shut(now) || target.endpoint.breaker.is_due(now)))
        });
        shut > 0 && shut * 100 <= all * usize::from(percent)
    }

    fn one_of(&self, eligible: impl Fn(&&Target) -> bool, now: Mono, rng: &mut Rng) -> Option<usize> {
        let Some(balance) = self.balance else { return better_of_two(self.targets, eligible, now, rng) };
        let named = |target: &Target| self.choice.sticky == Some(target.id);
        if self.choice.sticky.is_some()
            && let Some(index) = self.targets.iter().position(|target| named(target) && eligible(&target))
        {
            return Some(index);
        }
        let weighted = || self.targets.iter().enumerate().filter(|(_, target)| eligible(target));
        match balance.method {
            BalanceMethod::P2c if !balance.weighted => better_of_two(self.targets, eligible, now, rng),
            BalanceMethod::P2c => {
                let total: f64 = weighted().map(|(_, target)| balance.weight(target, now)).sum();
                let [first, second] = [(); 2].map(|()| at(weighted(), balance, now, rng.f64() * total));
                let cost = |index: usize| self.cost(balance, index, now);
                Some(second?).filter(|second| cost(*second) < first.map_or(f64::MAX, cost)).or(first)
            }
            BalanceMethod::RoundRobin => {
                let total: f64 = weighted().map(|(_, target)| balance.weight(target, now)).sum();
                let turn = self.turn.fetch_add(1, Relaxed) as f64;
                at(weighted(), balance, now, turn % total.max(1.0))
            }
            BalanceMethod::Hash => self.most_wanting(balance, weighted(), now),
        }
    }

    fn cost(&self, balance: &Balance, index: usize, now: Mono) -> f64 {
        let target = &self.targets[index];
        target.endpoint.load(now) / balance.weight(target, now).max(f64::MIN_POSITIVE)
    }

    /// The one that wants the key most of those that have not much more than their share (consistent hashing with bounded
    /// loads, Mirrokni and others).
    fn most_wanting<'t>(
        &self,
        balance: &Balance,
        eligible: impl Iterator<Item = (usize, &'t Target)>,
        now: Mono,
    ) -> Option<usize> {
        let weighed: Vec<(usize, &Target, f64)> =
            eligible.map(|(index, target)| (index, target, balance.weight(target, now))).collect();
        let weights: f64 = weighed.iter().map(|one| one.2).sum();
        let under_way: f64 = weighed.iter().map(|one| f64::from(one.1.endpoint.in_flight())).sum();
        let has_room = |target: &Target, weight: f64| {
            let share = (under_way + 1.0) * weight / weights.max(f64::MIN_POSITIVE);
            f64::from(target.endpoint.in_flight()) + 1.0 <= (share * balance.excess).ceil()
        };
        let wants = |(_, target, weight): &(usize, &Target, f64)| balance::wants(target.id, self.choice.key, *weight);
        let roomy = weighed.iter().filter(|(_, target, weight)| has_room(target, *weight));
        let most = |a: &&(usize, &Target, f64), b: &&(usize, &Target, f64)| wants(a).total_cmp(&wants(b));
        roomy.max_by(most).or_else(|| weighed.iter().max_by(most)).map(|one| one.0)
    }
}

/// The target at a point of all weights laid end to end.
fn at<'t>(
    targets: impl Iterator<Item = (usize, &'t Target)>,
    balance: &Balance,
    now: Mono,
    point: f64,
) -> Option<usize> {
    let (mut left, mut last) = (point, None);
    for (index, target) in targets {
        last = Some(index);
        left -= balance.weight(target, now);
        if left < 0.0 {
            break;
        }
    }
    last
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

#[cfg(test)]
mod tests;
