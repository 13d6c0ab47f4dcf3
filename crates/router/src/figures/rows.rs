//! The rows of `forebay routes` and `forebay upstreams`.

use std::collections::BTreeMap;

use control::wire::figures::{EndpointRow, LimiterRow, RouteRow};
use health::Verdict;
use stdx::clock::Mono;

use crate::capacity::{BreakerState, Manual};
use crate::handle::Handle;
use crate::routing::EndpointSpec;
use crate::snapshot::{Route, Target};

/// The classes of a reply's status, as a route counts them.
pub(super) const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Handle {
    /// What each route is doing, in the order of the routing.
    pub fn route_rows(&self) -> Vec<RouteRow> {
        let (snapshot, now) = (self.shared.snapshot(), self.clock.mono());
        let specs = &snapshot.source.routes;
        let rows = snapshot.routes.iter().zip(specs).map(|(route, spec)| {
            let figures = &route.state.figures;
            RouteRow {
                route: spec.name.clone(),
                host: spec.host.clone(),
                path_prefix: spec.path_prefix.clone(),
                upstream: spec.upstream.to_string(),
                app: spec.scope.as_ref().map(|scope| scope.app.clone()),
                environment: spec.scope.as_ref().map(|scope| scope.env.clone()),
                answered: counted(CLASSES.into_iter().zip(route.state.counts())),
                retries: figures.retries(),
                hedges: figures.hedges(),
                events: counted(figures.events()),
                maintenance: route.state.worked.rule().is_some(),
                breaker: breaker(route, now).into(),
                breaker_by_hand: by_hand(route, now).map(Into::into),
                limiter: limiter(route),
                faults: route.state.faults.count(),
                latency: figures.latency.read(),
            }
        });
        rows.collect()
    }

    /// What each endpoint is doing, by upstream.
    pub fn endpoint_rows(&self) -> Vec<EndpointRow> {
        let (snapshot, now) = (self.shared.snapshot(), self.clock.mono());
        let mut seen = Vec::new();
        let mut rows = Vec::new();
        for route in &snapshot.routes {
            let name = &route.facts.upstream;
            if !seen.contains(&name) {
                seen.push(name);
                let spec = snapshot.source.upstreams.iter().find(|spec| spec.name == *name);
                // Targets are compiled from the endpoints of their upstream, in their order.
                let specs = spec.map(|spec| spec.endpoints.as_slice()).unwrap_or_default();
                let targets = route.upstream.targets.iter().zip(specs);
                let health = &self.shared.health;
                rows.extend(targets.map(|(target, spec)| {
                    endpoint(name.as_str(), target, spec, Seen { now, verdict: health.verdict(name, spec) })
                }));
            }
        }
        rows
    }
}

/// What is known of an endpoint at one moment.
struct Seen {
    now: Mono,
    verdict: Option<Verdict>,
}

fn endpoint(upstream: &str, target: &Target, spec: &EndpointSpec, Seen { now, verdict }: Seen) -> EndpointRow {
    let unchecked = |verdict: &Verdict| !spec.draining && verdict.is_unchecked(now);
    let endpoint = &target.endpoint;
    EndpointRow {
        upstream: upstream.into(),
        endpoint: target.facts.addr.to_string(),
        instance: target.facts.instance.clone(),
        release: target.facts.release,
        state: state(target, spec, now).into(),
        health: spec.health.to_string(),
        checked_s_ago: verdict.as_ref().map(|verdict| verdict.age(now).as_secs()),
        unchecked: verdict.as_ref().is_some_and(unchecked),
        weight: target.weight,
        priority: target.priority,
        in_flight: endpoint.in_flight(),
        expected_us: endpoint.expected_us(now),
        tries: counted(endpoint.figures.outcomes()),
        latency: endpoint.figures.latency.read(),
    }
}

fn state(target: &Target, spec: &EndpointSpec, now: Mono) -> &'static str {
    if spec.draining {
        "draining"
    } else if !target.in_rotation {
        "out"
    } else if target.endpoint.down(now).is_some() {
        "passed over"
    } else if target.ejection.is_some() && target.endpoint.breaker.is_shut(now) {
        "left alone"
    } else {
        "up"
    }
}

/// Where a route's breaker stands by itself.
pub(super) fn breaker(route: &Route, now: Mono) -> &'static str {
    match route.state.breaker.state(now) {
        BreakerState::Closed => "closed",
        BreakerState::Open(_) => "open",
        BreakerState::Probing => "probing",
    }
}

/// How it stands by hand.
pub(super) fn by_hand(route: &Route, now: Mono) -> Option<&'static str> {
    match route.state.breaker.by_hand().setting(now).0 {
        Manual::Auto => None,
        Manual::Tripped => Some("tripped"),
        Manual::Closed => Some("closed"),
    }
}

/// A route's limit, where it has one.
fn limiter(route: &Route) -> Option<LimiterRow> {
    let figures = route.state.limiter.get()?.figures();
    Some(LimiterRow { limit: figures.limit, in_use: figures.in_flight, waiting: figures.waiting, shed: figures.shed })
}

/// What was counted at all.
fn counted<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(word, count)| (word.to_string(), count)).collect()
}
