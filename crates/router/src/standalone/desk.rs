//! From members and verdicts to the routing, and what is remembered of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use health::{Approach, Board, Health, HealthCache, Memory, Question, Remembered};
use stdx::clock::{Mono, Wall};
use stdx::rng::{self, Rng};

use super::lookup::{Lookup, Member, Said};
use super::plan::{Origin, Plan, UpstreamPlan};
use crate::config::DnsConfig;
use crate::routing::{EndpointSpec, Routing, UpstreamName, UpstreamSpec};

/// An endpoint in its upstream: each upstream checks in its own way.
pub(super) type Key = (UpstreamName, SocketAddr);

/// What is known at one moment.
#[derive(Debug)]
pub(super) struct Desk {
    plan: Plan,
    dns: DnsConfig,
    lookups: BTreeMap<UpstreamName, (Origin, Lookup)>,
    pub(super) board: Board<Key>,
    pub(super) rng: Rng,
    /// What others read.
    pub(super) cache: HealthCache<Key>,
    /// From before the restart; an endpoint that turns up later is new.
    memory: Memory,
}

impl Desk {
    /// With what is remembered from before a restart.
    pub(super) fn new(plan: Plan, dns: DnsConfig, memory: Memory, now: Mono, wall: Wall, mut rng: Rng) -> Desk {
        let board = Board::new(rng.fork());
        let mut desk = Desk {
            plan: Plan::default(),
            dns,
            lookups: BTreeMap::new(),
            board,
            rng,
            cache: HealthCache::default(),
            memory,
        };
        desk.replace(plan, now, wall);
        desk.memory = Memory::default();
        desk
    }

    /// Goes on with another plan; what is known of endpoints that are in both stays.
    pub(super) fn replace(&mut self, plan: Plan, now: Mono, wall: Wall) {
        self.plan = plan;
        let mut lookups = std::mem::take(&mut self.lookups);
        for upstream in self.plan.upstreams.iter().filter(|one| !matches!(one.origin, Origin::Fixed(_))) {
            let known = lookups.remove(&upstream.name).filter(|(origin, _)| *origin == upstream.origin);
            let lookup = known.map_or_else(|| Lookup::new(now, self.remembered_members(&upstream.name)), |(_, it)| it);
            self.lookups.insert(upstream.name.clone(), (upstream.origin.clone(), lookup));
        }
        self.sync(now, wall);
    }

    fn remembered_members(&self, upstream: &UpstreamName) -> Vec<Member> {
        let known = self.memory.0.get(upstream.as_str()).into_iter().flatten();
        known.map(|(addr, one)| Member { priority: one.priority, addr: *addr, weight: one.weight }).collect()
    }

    fn members(&self, upstream: &UpstreamPlan) -> Vec<Member> {
        match &upstream.origin {
            Origin::Fixed(addrs) => addrs.iter().copied().map(Member::at).collect(),
            _ => self.lookups.get(&upstream.name).map(|(_, lookup)| lookup.members().to_vec()).unwrap_or_default(),
        }
    }

    /// Takes up the checks of new members and drops those of members that are gone.
    fn sync(&mut self, now: Mono, wall: Wall) {
        let mut wanted = BTreeMap::new();
        for upstream in &self.plan.upstreams {
            if let Some(check) = &upstream.check {
                let members = self.members(upstream).into_iter();
                wanted.extend(members.map(|one| ((upstream.name.clone(), one.addr), check.settings())));
            }
        }
        let gone: BTreeSet<Key> =
            self.board.verdicts().map(|(key, _)| key.clone()).filter(|key| !wanted.contains_key(key)).collect();
        gone.iter().for_each(|key| self.cache.remove(key));
        self.board.retain(|key| !gone.contains(key));
        for (key, settings) in wanted {
            let known = self.memory.0.get(key.0.as_str()).and_then(|all| all.get(&key.1));
            self.board.put(now, key.clone(), settings, known.map(|known| (known.health, known.age(wall))));
            self.show(&key);
        }
    }

    /// Lets others see the verdict about an endpoint.
    pub(super) fn show(&self, key: &Key) {
        if let Some(verdict) = self.board.verdict(key) {
            self.cache.put(key.clone(), verdict.clone());
        }
    }

    /// Names to ask for now.
    pub(super) fn lookups_due(&mut self, now: Mono) -> Vec<(UpstreamName, Origin)> {
        let due = self
            .lookups
            .iter_mut()
            .filter_map(|(name, (origin, it))| it.begin(now).then(|| (name.clone(), origin.clone())));
        due.collect()
    }

    /// Takes the answer about a name. One that was asked for under another plan changes nothing.
    pub(super) fn on_lookup(
        &mut self,
        (upstream, origin): (UpstreamName, Origin),
        answer: Result<net::dns::Found<Member>, net::dns::DnsError>,
        now: Mono,
        wall: Wall,
    ) -> Said {
        let Some((_, lookup)) = self.lookups.get_mut(&upstream).filter(|(of, _)| *of == origin) else {
            return Said::Same;
        };
        let said = lookup.on_answer(now, answer, &self.dns, &mut self.rng);
        if matches!(said, Said::Changed { .. }) {
            self.sync(now, wall);
        }
        said
    }

    /// What an endpoint is asked, and how.
    pub(super) fn question(&self, key: &Key) -> Option<(Question, Approach, health::Settings)> {
        let upstream = self.plan.upstreams.iter().find(|one| one.name == key.0)?;
        upstream.check.as_ref().map(|check| (check.question(key.1), upstream.approach(), check.settings()))
    }

    /// The endpoints at an address, in whichever upstreams.
    pub(super) fn at(&self, addr: SocketAddr) -> Vec<Key> {
        self.board.verdicts().map(|(key, _)| key).filter(|key| key.1 == addr).cloned().collect()
    }

    /// When to look again.
    pub(super) fn due_at(&self) -> Option<Mono> {
        self.lookups.values().filter_map(|(_, lookup)| lookup.due_at()).chain(self.board.due_at()).min()
    }

    /// The routing by what is known now.
    pub(super) fn routing(&self) -> Routing {
        let upstreams = self.plan.upstreams.iter().map(|upstream| UpstreamSpec {
            name: upstream.name.clone(),
            endpoints: self.endpoints(upstream),
            policy: upstream.policy.clone(),
            reach: upstream.reach.clone(),
        });
        Routing { routes: self.plan.routes.clone(), upstreams: upstreams.collect() }
    }

    /// An endpoint that turns up is judged before it gets requests; when nobody is known to be well, it gets them at once.
    fn endpoints(&self, upstream: &UpstreamPlan) -> Vec<EndpointSpec> {
        let members = self.members(upstream);
        let health = |addr: SocketAddr| match self.board.verdict(&(upstream.name.clone(), addr)) {
            Some(verdict) => verdict.health,
            None => Health::Healthy,
        };
        let somebody_is_well = members.iter().any(|one| health(one.addr) == Health::Healthy);
        let specs = members.iter().map(|one| {
            let health = match health(one.addr) {
                Health::Unknown if !somebody_is_well => Health::Healthy,
                known => known,
            };
            EndpointSpec { health, weight: one.weight, priority: one.priority, ..EndpointSpec::at(one.addr) }
        });
        specs.collect()
    }

    /// What the next start should know.
    pub(super) fn remember(&self, now: Mono, wall: Wall) -> Memory {
        let mut memory = Memory::default();
        for upstream in &self.plan.upstreams {
            let known = memory.0.entry(upstream.name.as_str().into()).or_default();
            for Member { addr, weight, priority } in self.members(upstream) {
                let verdict = self.board.verdict(&(upstream.name.clone(), addr));
                let (health, checked) =
                    verdict.map_or((Health::Unknown, wall), |verdict| (verdict.health, wall - verdict.age(now)));
                known.insert(addr, Remembered { health, checked_ns: checked.0, weight, priority });
            }
        }
        memory
    }
}

/// A generator of the machine's own.
pub(super) fn rng() -> Rng {
    rng::from_kernel()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CheckConfig;
    use crate::standalone::plan::Check;
    use health::{Answer, Failure};
    use net::dns::Found;
    use std::time::Duration;

    const WALL: Wall = Wall(1_000_000_000_000_000);

    fn addr(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 80).into()
    }

    fn web(origin: Origin) -> Plan {
        let check = Some(Check::new(CheckConfig { rise: 1, fall: 1, ..CheckConfig::default() }));
        let name = UpstreamName::new("web");
        Plan {
            routes: Vec::new(),
            upstreams: vec![UpstreamPlan {
                name,
                origin,
                check,
                policy: Default::default(),
                reach: Default::default(),
            }],
        }
    }

    fn desk(plan: Plan, memory: Memory) -> Desk {
        Desk::new(plan, DnsConfig::default(), memory, Mono(0), WALL, Rng::with_seed(1))
    }

    fn healths(desk: &Desk) -> Vec<Health> {
        desk.routing().upstreams[0].endpoints.iter().map(|one| one.health).collect()
    }

    fn key(last: u8) -> Key {
        (UpstreamName::new("web"), addr(last))
    }

    fn named() -> Plan {
        web(Origin::Host("web.internal".parse().unwrap(), 80))
    }

    const UP: Health = Health::Healthy;
    const DEAD: Health = Health::Unhealthy;

    #[test]
    fn a_cold_start_serves_at_once_and_a_newcomer_waits_for_its_check() {
        let mut it = desk(web(Origin::Fixed(vec![addr(1), addr(2)])), Memory::default());
        assert_eq!(healths(&it), [UP, UP]);
        it.board.on_answer(Mono(1), &key(1), Ok(Answer::default()));
        assert_eq!(healths(&it), [UP, Health::Unknown]);
        it.board.on_answer(Mono(1), &key(2), Err(Failure::Refused));
        it.replace(web(Origin::Fixed(vec![addr(1), addr(2), addr(3)])), Mono(2), WALL);
        assert_eq!(healths(&it), [UP, DEAD, Health::Unknown], "a new plan forgets nothing");
        it.replace(web(Origin::Fixed(vec![addr(2)])), Mono(2), WALL);
        assert_eq!((healths(&it).len(), it.cache.all().len()), (1, 1));
    }

    #[test]
    fn a_restart_knows_who_was_down_and_asks_nobody_at_once() {
        let mut before = desk(web(Origin::Fixed((1..=50).map(addr).collect())), Memory::default());
        (1..=50).for_each(|last| drop(before.board.on_answer(Mono(0), &key(last), Ok(Answer::default()))));
        before.board.on_answer(Mono(0), &key(7), Err(Failure::Refused));
        let memory = before.remember(Mono(0), WALL);
        let mut after = desk(web(Origin::Fixed((1..=50).map(addr).collect())), memory);
        assert_eq!(healths(&after), healths(&before));
        let at_once = after.board.due(Mono(0) + Duration::from_millis(100)).len();
        let in_time = after.board.due(Mono(0) + Duration::from_millis(2_000)).len();
        assert!(at_once < 12 && at_once + in_time == 50, "{at_once} at once");
    }

    #[test]
    fn a_name_s_endpoints_outlive_its_server_and_the_restart() {
        let mut it = desk(named(), Memory::default());
        let due = it.lookups_due(Mono(0)).remove(0);
        assert!(it.lookups_due(Mono(0)).is_empty());
        let found = Found { items: vec![Member::at(addr(1)), Member::at(addr(2))], ttl: Duration::from_secs(5) };
        assert_eq!(it.on_lookup(due.clone(), Ok(found), Mono(0), WALL), Said::Changed { left_out: 0 });
        assert_eq!(healths(&it), [UP, UP]);
        it.board.on_answer(Mono(0), &key(1), Ok(Answer::default()));
        it.board.on_answer(Mono(0), &key(2), Err(Failure::Refused));
        let mut next = desk(named(), it.remember(Mono(0), WALL));
        assert_eq!(healths(&next), [UP, DEAD], "before any server has answered");
        let due = next.lookups_due(Mono(0)).remove(0);
        assert!(matches!(next.on_lookup(due, Err(net::dns::DnsError::Timeout), Mono(0), WALL), Said::Failing(_)));
        assert_eq!(healths(&next), [UP, DEAD]);
    }

    #[test]
    fn an_answer_to_a_name_that_is_not_asked_for_any_more_changes_nothing() {
        let mut it = desk(named(), Memory::default());
        let due = it.lookups_due(Mono(0)).remove(0);
        it.replace(web(Origin::Service("_http._tcp.web.internal".parse().unwrap())), Mono(0), WALL);
        let found = Found { items: vec![Member::at(addr(1))], ttl: Duration::from_secs(5) };
        assert_eq!(it.on_lookup(due, Ok(found), Mono(0), WALL), Said::Same);
        assert_eq!(healths(&it), []);
        assert_eq!(it.lookups_due(Mono(0)).len(), 1, "the new name is asked for");
    }
}
