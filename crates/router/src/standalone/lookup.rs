//! One name over time: when it is asked for again, and which endpoints it stands for meanwhile. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use net::dns::{DnsError, Found, Service};
use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::config::DnsConfig;

/// One endpoint that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) priority: u16,
    pub(super) addr: SocketAddr,
    pub(super) weight: u32,
}

impl Member {
    /// One that nothing but its address is said of.
    pub(super) fn at(addr: SocketAddr) -> Member {
        Member { priority: 0, addr, weight: 1 }
    }
}

/// How the weights of SRV records become ours: beside a record of weight 0, which gets next to nothing (RFC 2782), the
/// others weigh a hundred times as much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(u32);

impl Scale {
    pub(super) fn of(services: &[Service]) -> Scale {
        let mixed = services.iter().any(|one| one.weight == 0) && services.iter().any(|one| one.weight != 0);
        Scale(if mixed { 100 } else { 1 })
    }

    pub(super) fn weight(self, service: &Service) -> u32 {
        (u32::from(service.weight) * self.0).max(1)
    }
}

/// What has to be said about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing new.
    Same,
    /// Other endpoints; so many more were left out.
    Changed { left_out: usize },
    /// No answer, or one that names nobody: what was known holds on. Said once.
    Failing(String),
}

/// A name and what is known of it.
#[derive(Debug)]
pub(super) struct Lookup {
    /// In the order of their priorities and addresses.
    members: Vec<Member>,
    failures: u32,
    under_way: bool,
    next: Mono,
}

impl Lookup {
    /// A name that is asked for at once; `remembered`: what it stood for before a restart.
    pub(super) fn new(now: Mono, mut remembered: Vec<Member>) -> Lookup {
        remembered.sort_unstable();
        Lookup { members: remembered, failures: 0, under_way: false, next: now }
    }

    /// The endpoints that it stands for.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// When it is asked for again; `None` while it is.
    pub(super) fn due_at(&self) -> Option<Mono> {
        (!self.under_way).then_some(self.next)
    }

    /// Whether to ask now; then the answer must follow.
    pub(super) fn begin(&mut self, now: Mono) -> bool {
        let due = !self.under_way && now >= self.next;
        self.under_way |= due;
        due
    }

    /// Takes an answer. Times are shortened by up to a tenth, so that many routers do not ask at the same moment; a failure
    /// is followed by ever longer waits, up to the ceiling.
    pub(super) fn on_answer(
        &mut self,
        now: Mono,
        answer: Result<Found<Member>, DnsError>,
        config: &DnsConfig,
        rng: &mut Rng,
    ) -> Said {
        self.under_way = false;
        let reason = match answer {
            Ok(found) if !found.items.is_empty() => return self.found(now, found, config, rng),
            Ok(_) => "the answer names nobody".to_string(),
            Err(error) => error.to_string(),
        };
        let wait = config.floor().saturating_mul(1 << self.failures.min(16)).min(config.ceiling());
        self.next = now + jittered(wait, rng);
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 { Said::Failing(reason) } else { Said::Same }
    }

    fn found(&mut self, now: Mono, found: Found<Member>, config: &DnsConfig, rng: &mut Rng) -> Said {
        self.failures = 0;
        self.next = now + jittered(found.ttl.clamp(config.floor(), config.ceiling()), rng);
        // Servers turn their answers round; the same endpoints in another order are no change.
        let mut members = found.items;
        members.sort_unstable_by_key(|one| (one.addr, one.priority));
        // An address that is named twice counts by the lower priority number.
        members.dedup_by_key(|one| one.addr);
        members.sort_unstable();
        let left_out = members.len().saturating_sub(usize::from(config.endpoints_max));
        members.truncate(usize::from(config.endpoints_max));
        if members == self.members {
            return Said::Same;
        }
        self.members = members;
        Said::Changed { left_out }
    }
}

fn jittered(time: Duration, rng: &mut Rng) -> Duration {
    time.mul_f64(1.0 - 0.1 * rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    const SECOND: Duration = Duration::from_secs(1);

    fn addr(last: u8) -> Member {
        Member::at(([10, 0, 0, last], 80).into())
    }

    fn found(items: &[u8], ttl: Duration) -> Result<Found<Member>, DnsError> {
        Ok(Found { items: items.iter().map(|last| addr(*last)).collect(), ttl })
    }

    fn wait(lookup: &Lookup, now: Mono) -> Duration {
        lookup.due_at().unwrap().since(now)
    }

    #[test]
    fn an_answer_holds_for_its_time_within_bounds() {
        let (config, mut rng) = (DnsConfig::default(), Rng::with_seed(1));
        let mut it = Lookup::new(Mono(0), Vec::new());
        assert!(it.begin(Mono(0)) && !it.begin(Mono(0)));
        assert_eq!(
            it.on_answer(Mono(0), found(&[2, 1, 2], 30 * SECOND), &config, &mut rng),
            Said::Changed { left_out: 0 }
        );
        assert_eq!(it.members(), [addr(1), addr(2)]);
        assert!(wait(&it, Mono(0)) > 27 * SECOND && wait(&it, Mono(0)) <= 30 * SECOND);
        assert_eq!(it.on_answer(Mono(0), found(&[1, 2], Duration::ZERO), &config, &mut rng), Said::Same);
        assert!(wait(&it, Mono(0)) >= SECOND.mul_f64(0.9), "the floor");
        it.on_answer(Mono(0), found(&[1], Duration::MAX), &config, &mut rng);
        assert!(wait(&it, Mono(0)) <= 300 * SECOND, "the ceiling");
    }

    #[test]
    fn the_last_answer_holds_on_when_the_next_fails_or_names_nobody() {
        let (config, mut rng) = (DnsConfig::default(), Rng::with_seed(1));
        let mut it = Lookup::new(Mono(0), vec![addr(9)]);
        let said = it.on_answer(Mono(0), Err(DnsError::Timeout), &config, &mut rng);
        assert_eq!((said, it.members()), (Said::Failing("no answer in time".into()), &[addr(9)][..]));
        for _ in 0..40 {
            assert_eq!(it.on_answer(Mono(0), found(&[], SECOND), &config, &mut rng), Said::Same);
        }
        assert_eq!(it.members(), [addr(9)]);
        assert!(wait(&it, Mono(0)) >= 270 * SECOND, "it is asked for ever more rarely");
        assert_eq!(it.on_answer(Mono(0), found(&[9], SECOND), &config, &mut rng), Said::Same);
        assert!(matches!(it.on_answer(Mono(0), Err(DnsError::NoName), &config, &mut rng), Said::Failing(_)));
    }

    #[test]
    fn more_than_may_be_are_left_out_and_counted() {
        let config = DnsConfig { endpoints_max: 2, ..DnsConfig::default() };
        let mut it = Lookup::new(Mono(0), Vec::new());
        let said = it.on_answer(Mono(0), found(&[1, 2, 3], SECOND), &config, &mut Rng::with_seed(1));
        assert_eq!((said, it.members().len()), (Said::Changed { left_out: 1 }, 2));
    }

    #[test]
    fn who_stands_by_is_left_out_first_and_another_weight_is_a_change() {
        let config = DnsConfig { endpoints_max: 2, ..DnsConfig::default() };
        let mut it = Lookup::new(Mono(0), Vec::new());
        let mut says = |items: Vec<Member>| {
            let said = it.on_answer(Mono(0), Ok(Found { items, ttl: SECOND }), &config, &mut Rng::with_seed(1));
            (said, it.members().to_vec())
        };
        let backup = |last| Member { priority: 5, ..addr(last) };
        let (said, members) = says(vec![backup(1), addr(2), backup(2), addr(3)]);
        assert_eq!((said, members), (Said::Changed { left_out: 1 }, vec![addr(2), addr(3)]));
        let heavy = Member { weight: 9, ..addr(3) };
        assert_eq!(says(vec![heavy, addr(2)]), (Said::Changed { left_out: 0 }, vec![addr(2), heavy]));
    }

    proptest! {
        #[test]
        fn once_there_are_endpoints_there_always_are(
            seed in any::<u64>(),
            answers in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..4)), 1..40),
            ttl_s in 0u64..1_000,
        ) {
            let (config, mut rng) = (DnsConfig::default(), Rng::with_seed(seed));
            let mut it = Lookup::new(Mono(0), vec![addr(1)]);
            for answer in answers {
                let answer = answer.map_or(Err(DnsError::NoName), |items| found(&items, SECOND * ttl_s as u32));
                it.on_answer(Mono(0), answer, &config, &mut rng);
                prop_assert!(!it.members().is_empty());
                let wait = wait(&it, Mono(0));
                prop_assert!(wait >= config.floor().mul_f64(0.9) && wait <= config.ceiling());
            }
        }
    }
}
