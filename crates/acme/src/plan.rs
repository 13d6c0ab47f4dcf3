//! When each host's certificate is asked for. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use net::tls::Validity;
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;
use stdx::rng::Rng;

use crate::config::AcmeConfig;

/// The longest wait that an authority's `Retry-After` is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long a certificate that was just obtained is left alone, whatever the authority advises. Authorities date it back by up
/// to as much again.
const LEFT_ALONE_MS: u64 = 3_600_000;

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For people.
    pub(crate) reason: String,
    /// The authority said that a limit is reached; that holds for all hosts.
    pub(crate) is_limit: bool,
    /// Its `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

/// What a restart must not forget, or every one of them would ask anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// No order before then, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) limited_until_ms: u64,
    /// The hosts whose last order failed.
    #[serde(default)]
    pub(crate) failing: BTreeMap<String, Failing>,
}

/// A host whose last order failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// In a row.
    pub(crate) failures: u32,
    /// When it is tried again, in milliseconds since 1970.
    pub(crate) due_ms: u64,
    pub(crate) reason: String,
}

/// One host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) due_ms: u64,
    pub(crate) failures: u32,
    pub(crate) under_way: bool,
    pub(crate) reason: Option<String>,
    /// The authority's advice that `due_ms` follows.
    window_ms: Option<(u64, u64)>,
    /// No advice counts for a moment before this one: an authority that is wrong about the time would be asked again and again.
    advised_from_ms: u64,
}

/// The certificates that are wanted, and when each is due.
#[derive(Debug)]
pub(crate) struct Plan {
    config: AcmeConfig,
    hosts: BTreeMap<String, Wanted>,
    /// Of a host that turns up later; those of hosts that are wanted stand there.
    remembered: BTreeMap<String, Failing>,
    limited_until_ms: u64,
    rng: Rng,
}

impl Plan {
    /// A plan without hosts.
    pub(crate) fn new(config: AcmeConfig, remembered: Remembered, rng: Rng) -> Plan {
        let Remembered { limited_until_ms, failing } = remembered;
        Plan { config, hosts: BTreeMap::new(), remembered: failing, limited_until_ms, rng }
    }

    /// From now on these are wanted; `has` tells the time of the certificate that a host has already.
    pub(crate) fn want(&mut self, hosts: &BTreeSet<String>, now: Wall, has: impl Fn(&str) -> Option<Validity>) {
        let most = self.config.hosts_max as usize;
        self.hosts.retain(|host, wanted| hosts.contains(host) || wanted.under_way);
        for host in hosts.iter().take(most) {
            if self.hosts.contains_key(host) {
                continue;
            }
            let mut wanted = Wanted::default();
            if let Some(validity) = has(host) {
                wanted.due_ms = renewal_ms(validity, &mut self.rng);
                wanted.advised_from_ms = validity.from_s.saturating_mul(1_000).saturating_add(2 * LEFT_ALONE_MS);
            }
            if let Some(failing) = self.remembered.remove(host) {
                wanted.failures = failing.failures;
                // A clock that was wrong then must not keep the host waiting for ever.
                let latest = now.millis().saturating_add(millis(RETRY_AFTER_MAX));
                wanted.due_ms = wanted.due_ms.max(failing.due_ms.min(latest));
                wanted.reason = Some(failing.reason);
            }
            self.hosts.insert(host.clone(), wanted);
        }
    }

    /// A host whose certificate is to be asked for now, the one that has been due for longest, and its failures in a row; then [`Plan::obtained`] or
    /// [`Plan::failed`] must follow.
    pub(crate) fn begin(&mut self, now: Wall) -> Option<(String, u32)> {
        if self.limited_until_ms > now.millis() {
            return None;
        }
        if self.hosts.values().filter(|one| one.under_way).count() >= usize::from(self.config.orders_max) {
            return None;
        }
        let waiting = self.hosts.iter_mut().filter(|(_, one)| !one.under_way && one.due_ms <= now.millis());
        let (host, wanted) = waiting.min_by_key(|(_, one)| one.due_ms)?;
        wanted.under_way = true;
        Some((host.clone(), wanted.failures))
    }

    /// The certificate was obtained. It is renewed after two thirds of its time.
    pub(crate) fn obtained(&mut self, host: &str, validity: Validity, now: Wall) {
        let due_ms = renewal_ms(validity, &mut self.rng);
        let advised_from_ms = now.millis().saturating_add(LEFT_ALONE_MS);
        if let Some(wanted) = self.hosts.get_mut(host) {
            *wanted = Wanted { due_ms, advised_from_ms, ..Wanted::default() };
        }
    }

    /// It was not. It is asked for again after a while that doubles with each failure; everybody waits when the authority says
    /// that a limit is reached.
    pub(crate) fn failed(&mut self, host: &str, failure: Failure, now: Wall) {
        let asked_ms = millis(failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        if failure.is_limit {
            let wait_ms = asked_ms.max(self.config.limited_wait_ms.into());
            self.limited_until_ms = self.limited_until_ms.max(now.millis() + wait_ms);
        }
        let Some(wanted) = self.hosts.get_mut(host) else { return };
        let doubled = u64::from(self.config.retry_min_ms).saturating_mul(1 << wanted.failures.min(32));
        let wait_ms = jittered(doubled.min(self.config.retry_max_ms.into()), &mut self.rng);
        wanted.failures = wanted.failures.saturating_add(1);
        wanted.due_ms = now.millis() + wait_ms.max(asked_ms);
        wanted.under_way = false;
        wanted.reason = Some(failure.reason);
    }

    /// The authority advises to renew within a window: at a moment of it that is picked once. A host whose orders fail waits as
    /// it does.
    pub(crate) fn advised(&mut self, host: &str, window_ms: (u64, u64)) {
        let Some(wanted) = self.hosts.get_mut(host) else { return };
        if wanted.failures == 0 && !wanted.under_way && wanted.window_ms != Some(window_ms) {
            wanted.window_ms = Some(window_ms);
            let picked_ms = self.rng.u64(window_ms.0..=window_ms.1.max(window_ms.0));
            wanted.due_ms = picked_ms.max(wanted.advised_from_ms);
        }
    }

    /// When each host is looked at next.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&str, &Wanted)> {
        self.hosts.iter().map(|(host, wanted)| (host.as_str(), wanted))
    }

    /// When `wanted` is really asked for, in milliseconds since 1970.
    pub(crate) fn next_ms(&self, wanted: &Wanted) -> u64 {
        wanted.due_ms.max(self.limited_until_ms)
    }

    /// What a restart must not forget.
    pub(crate) fn to_remember(&self) -> Remembered {
        let failing = self.hosts.iter().filter_map(|(host, wanted)| {
            let reason = wanted.reason.clone()?;
            Some((host.clone(), Failing { failures: wanted.failures, due_ms: wanted.due_ms, reason }))
        });
        Remembered { limited_until_ms: self.limited_until_ms, failing: failing.collect() }
    }
}

/// Two thirds of the certificate's time, up to a twentieth earlier: nodes that began together do not come together.
fn renewal_ms(validity: Validity, rng: &mut Rng) -> u64 {
    let (from_ms, until_ms) = (validity.from_s.saturating_mul(1_000), validity.until_s.saturating_mul(1_000));
    let lifetime_ms = until_ms.saturating_sub(from_ms);
    let earlier_ms = rng.u64(0..=lifetime_ms / 20);
    from_ms.saturating_add(lifetime_ms / 3 * 2).saturating_sub(earlier_ms)
}

/// Between three and five quarters.
fn jittered(wait_ms: u64, rng: &mut Rng) -> u64 {
    wait_ms / 4 * 3 + rng.u64(0..=wait_ms / 2)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    fn plan(hosts: &[&str]) -> Plan {
        let mut plan = Plan::new(AcmeConfig::default(), Remembered::default(), Rng::with_seed(7));
        plan.want(&set(hosts), Wall(0), |_| None);
        plan
    }

    fn set(hosts: &[&str]) -> BTreeSet<String> {
        hosts.iter().map(|host| (*host).to_string()).collect()
    }

    fn at(ms: u64) -> Wall {
        Wall::from_millis(ms)
    }

    fn failure(is_limit: bool, retry_after_ms: Option<u64>) -> Failure {
        Failure { reason: "no".into(), is_limit, retry_after: retry_after_ms.map(Duration::from_millis) }
    }

    fn begun(plan: &mut Plan, ms: u64) -> Option<String> {
        plan.begin(at(ms)).map(|(host, _)| host)
    }

    fn next(plan: &Plan, host: &str) -> u64 {
        plan.hosts().find(|(name, _)| *name == host).map(|(_, wanted)| plan.next_ms(wanted)).unwrap()
    }

    #[test]
    fn a_host_without_a_certificate_is_asked_for_at_once_and_once() {
        let mut plan = plan(&["a.example", "b.example", "c.example"]);
        assert_eq!(begun(&mut plan, 0).as_deref(), Some("a.example"));
        assert_eq!(begun(&mut plan, 0).as_deref(), Some("b.example"));
        assert_eq!(begun(&mut plan, 0), None, "two orders at once");
        plan.want(&set(&["c.example"]), at(0), |_| None);
        plan.obtained("a.example", Validity { from_s: 0, until_s: 90 * 86_400 }, at(0));
        assert_eq!(begun(&mut plan, 0).as_deref(), Some("c.example"));
        assert_eq!(begun(&mut plan, 0), None);
    }

    #[test]
    fn failures_wait_longer_and_longer() {
        let (mut plan, mut now, mut waits) = (plan(&["a.example"]), 1000, Vec::new());
        for _ in 0..12 {
            assert!(plan.begin(at(now)).is_some());
            plan.failed("a.example", failure(false, None), at(now));
            let due = next(&plan, "a.example");
            assert_eq!(plan.begin(at(due - 1)), None);
            waits.push((due - now) as f64 / 60_000.0);
            now = due;
        }
        let around = |wait: &f64, minutes: f64| (minutes * 0.75..=minutes * 1.25).contains(wait);
        assert!(waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]).all(|(wait, minutes)| around(wait, minutes)), "{waits:?}");
        assert!(waits[9..].iter().all(|wait| around(wait, 360.0)), "{waits:?}");
        assert!(plan.begin(at(now)).is_some());
        plan.obtained("a.example", Validity { from_s: now / 1_000, until_s: (now + 90 * DAY_MS) / 1_000 }, at(now));
        assert_eq!(plan.to_remember(), Remembered::default());
    }

    #[test]
    fn a_limit_holds_for_all_and_for_the_time_that_is_asked() {
        let mut plan = plan(&["a.example", "b.example"]);
        plan.begin(at(0));
        plan.failed("a.example", failure(true, None), at(0));
        assert_eq!((next(&plan, "b.example"), plan.begin(at(HOUR_MS - 1))), (HOUR_MS, None));
        assert_eq!(begun(&mut plan, HOUR_MS).as_deref(), Some("b.example"));
        plan.failed("b.example", failure(true, Some(DAY_MS)), at(HOUR_MS));
        assert_eq!(next(&plan, "a.example"), HOUR_MS + DAY_MS);
        plan.begin(at(2 * DAY_MS));
        plan.failed("a.example", failure(true, Some(365 * DAY_MS)), at(2 * DAY_MS));
        assert_eq!(next(&plan, "a.example"), 9 * DAY_MS, "nobody makes us wait for a year");
    }

    #[test]
    fn a_failure_of_one_does_not_hold_up_others() {
        let mut plan = plan(&["a.example", "b.example"]);
        assert_eq!(begun(&mut plan, 0).as_deref(), Some("a.example"));
        plan.failed("a.example", failure(false, Some(DAY_MS)), at(0));
        assert_eq!(begun(&mut plan, 0).as_deref(), Some("b.example"));
        assert_eq!(next(&plan, "a.example"), DAY_MS);
    }

    #[test]
    fn an_advice_is_followed_at_a_moment_that_stays() {
        let mut plan = plan(&["a.example", "b.example"]);
        let validity = Validity { from_s: 0, until_s: 90 * 86_400 };
        plan.begin(at(0));
        plan.obtained("a.example", validity, at(0));
        plan.advised("a.example", (10 * DAY_MS, 20 * DAY_MS));
        let picked = next(&plan, "a.example");
        assert!((10 * DAY_MS..=20 * DAY_MS).contains(&picked));
        plan.advised("a.example", (10 * DAY_MS, 20 * DAY_MS));
        assert_eq!(next(&plan, "a.example"), picked);
        plan.advised("a.example", (DAY_MS, DAY_MS));
        assert_eq!(next(&plan, "a.example"), DAY_MS, "it has to revoke");
        plan.advised("a.example", (0, 0));
        assert_eq!(next(&plan, "a.example"), HOUR_MS, "an authority that is always late is not asked without end");
        plan.begin(at(0));
        plan.failed("b.example", failure(false, Some(DAY_MS)), at(0));
        plan.advised("b.example", (1, 1));
        assert_eq!(next(&plan, "b.example"), DAY_MS, "advice does not shorten the wait after a failure");
    }

    #[test]
    fn a_restart_does_not_forget_why_a_host_waits() {
        let mut before = plan(&["a.example"]);
        before.begin(at(0));
        before.failed("a.example", failure(false, None), at(0));
        let remembered = serde_json::to_string(&before.to_remember()).unwrap();
        let remembered: Remembered = serde_json::from_str(&remembered).unwrap();
        let mut after = Plan::new(AcmeConfig::default(), remembered.clone(), Rng::with_seed(8));
        after.want(&set(&["a.example", "b.example"]), at(1), |_| None);
        assert_eq!(begun(&mut after, 1).as_deref(), Some("b.example"));
        assert_eq!(after.to_remember(), remembered);
        let mut wrong = remembered;
        wrong.failing.get_mut("a.example").unwrap().due_ms = u64::MAX;
        let mut after = Plan::new(AcmeConfig::default(), wrong, Rng::with_seed(8));
        after.want(&set(&["a.example"]), at(0), |_| None);
        assert_eq!(next(&after, "a.example"), 7 * DAY_MS);
    }

    #[test]
    fn more_hosts_than_may_be_are_left_out() {
        let config = AcmeConfig { hosts_max: 1, ..AcmeConfig::default() };
        let mut plan = Plan::new(config, Remembered::default(), Rng::with_seed(7));
        plan.want(&set(&["b.example", "a.example"]), at(0), |_| None);
        assert_eq!(plan.hosts().map(|(host, _)| host).collect::<Vec<_>>(), ["a.example"]);
    }

    proptest! {
        #[test]
        fn renewed_after_about_two_thirds(seed: u64, from_s in 0..1_u64 << 32, days in 1..400_u64) {
            let validity = Validity { from_s, until_s: from_s + days * 86_400 };
            let due = renewal_ms(validity, &mut Rng::with_seed(seed)) - from_s * 1_000;
            let share = due as f64 / (days * DAY_MS) as f64;
            prop_assert!((0.61..0.667).contains(&share), "{}", share);
        }

        #[test]
        fn no_times_overflow(from_s: u64, until_s: u64, seed: u64) {
            renewal_ms(Validity { from_s, until_s }, &mut Rng::with_seed(seed));
        }

        #[test]
        fn one_order_per_host_and_never_more_than_may_be(
            seed in any::<u64>(),
            steps in prop::collection::vec((0..4_u8, any::<bool>(), 0..DAY_MS), 1..100),
        ) {
            let mut plan = plan(&["a.example", "b.example", "c.example", "d.example"]);
            let (mut now, mut under_way) = (0, Vec::<String>::new());
            let mut rng = Rng::with_seed(seed);
            for (step, flag, wait) in steps {
                now += wait;
                match step {
                    0 | 1 => if let Some(host) = begun(&mut plan, now) {
                        prop_assert!(!under_way.contains(&host));
                        under_way.push(host);
                    },
                    2 if !under_way.is_empty() => {
                        let host = under_way.swap_remove(rng.usize(0..under_way.len()));
                        plan.failed(&host, failure(flag, Some(wait)), at(now));
                        prop_assert!(next(&plan, &host) > now);
                    }
                    _ if !under_way.is_empty() => {
                        let host = under_way.swap_remove(rng.usize(0..under_way.len()));
                        plan.obtained(&host, Validity { from_s: now / 1_000, until_s: now / 1_000 + 86_400 }, at(now));
                    }
                    _ => {}
                }
                prop_assert!(under_way.len() <= 2);
                prop_assert_eq!(plan.hosts().filter(|(_, one)| one.under_way).count(), under_way.len());
            }
        }
    }
}
