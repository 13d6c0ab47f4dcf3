//! What is known of one application: its endpoints and what it depends on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use health::{Health, Verdict};
use serde::Serialize;
use stdx::clock::Mono;
use stdx::ids::Scope;

use super::state::{Seen, State};
use crate::health_source::Dependency;
use crate::routing::{EndpointSpec, UpstreamSpec};
use crate::snapshot::{Route, Snapshot, Target, Upstream};
use crate::worker::Worker;

/// Everything, for peers that are believed.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    schema: u32,
    name: String,
    pub(super) state: State,
    /// Checks are not believed, and all endpoints are in rotation.
    fail_static: bool,
    /// The age of the oldest result that this rests on.
    checked_s_ago: Option<u64>,
    endpoints: Counts,
    dependencies: DependencyCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    healthy: u32,
    unhealthy: u32,
    unknown: u32,
    draining: u32,
    unchecked: u32,
}

#[derive(Debug, Default, Serialize)]
struct DependencyCounts {
    up: u32,
    down: u32,
    unknown: u32,
}

#[derive(Debug, Default, Serialize)]
struct Details {
    endpoints: Vec<EndpointRow>,
    dependencies: Vec<DependencyRow>,
}

#[derive(Debug, Serialize)]
struct EndpointRow {
    upstream: String,
    addr: std::net::SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    health: Health,
    in_rotation: bool,
    draining: bool,
    unchecked: bool,
    checked_s_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    positions: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DependencyRow {
    name: String,
    health: Health,
    unchecked: bool,
    checked_s_ago: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Found {
    /// As much as a peer may see.
    pub(super) fn shown(mut self, trusted: bool) -> Found {
        self.details = self.details.filter(|_| trusted);
        self
    }
}

/// Looks up `APP`, `APP/ENV`, or the name of an upstream that belongs to no application.
pub(super) fn find(worker: &Worker, name: &str) -> Option<Found> {
    let snapshot = worker.snapshot();
    let scope = name.parse::<Scope>().ok();
    let takes = |route: &&Route| match &route.facts.scope {
        Some(of) => scope.as_ref() == Some(of),
        None => route.facts.upstream.as_str() == name,
    };
    let routes: Vec<&Route> = snapshot.routes.iter().filter(takes).collect();
    let first = routes.first()?;
    let mut collected = Collected { now: worker.now(), ..Collected::default() };
    let mut upstreams: Vec<&Arc<Upstream>> = Vec::new();
    for route in &routes {
        if !upstreams.iter().any(|one| Arc::ptr_eq(one, &route.upstream)) {
            upstreams.push(&route.upstream);
            collected.upstream(worker, &snapshot, route);
        }
    }
    let scope = first.facts.scope.as_ref();
    let dependencies = scope.map(|scope| worker.shared.health.dependencies(scope)).unwrap_or_default();
    let fail_static = upstreams.iter().any(|one| one.state.fail_static.load(Relaxed));
    Some(collected.judged(name.into(), dependencies, fail_static))
}

/// What is seen of all upstreams of an application.
#[derive(Default)]
struct Collected {
    now: Mono,
    seen: Vec<Seen>,
    counts: Counts,
    oldest_s: Option<u64>,
    rows: Vec<EndpointRow>,
}

impl Collected {
    fn upstream(&mut self, worker: &Worker, snapshot: &Snapshot, route: &Route) {
        let Some(spec) = snapshot.source.upstreams.iter().find(|spec| spec.name == route.facts.upstream) else {
            return;
        };
        // Targets are compiled from the endpoints, in their order.
        for (endpoint, target) in spec.endpoints.iter().zip(&route.upstream.targets) {
            let verdict = worker.shared.health.verdict(&spec.name, endpoint);
            self.endpoint(spec, endpoint, target, verdict);
        }
    }

    fn endpoint(&mut self, spec: &UpstreamSpec, endpoint: &EndpointSpec, target: &Target, verdict: Option<Verdict>) {
        // What nobody checks is judged by whether it takes connections, as the router sees it.
        let health = match (&verdict, target.endpoint.down(self.now)) {
            (None, Some(_)) => Health::Unhealthy,
            (Some(Verdict { health: Health::Unknown, .. }), _) => Health::Unknown,
            _ => endpoint.health,
        };
        let age = verdict.as_ref().map(|verdict| verdict.age(self.now).as_secs());
        let unchecked = verdict.as_ref().is_some_and(|verdict| verdict.is_unchecked(self.now));
        if endpoint.draining {
            self.counts.draining += 1;
        } else {
            self.seen.push(Seen { health, unchecked });
            self.oldest_s = self.oldest_s.max(age);
            self.counts.unchecked += u32::from(unchecked);
            *match health {
                Health::Healthy => &mut self.counts.healthy,
                Health::Unhealthy => &mut self.counts.unhealthy,
                Health::Unknown => &mut self.counts.unknown,
            } += 1;
        }
        self.rows.push(EndpointRow {
            upstream: spec.name.as_str().into(),
            addr: endpoint.addr,
            instance: endpoint.instance.clone(),
            health,
            in_rotation: target.in_rotation,
            draining: endpoint.draining,
            unchecked,
            checked_s_ago: age,
            reason: verdict.and_then(|verdict| verdict.failure).map(|failure| failure.to_string()),
            positions: target.endpoint.positions().iter().map(ToString::to_string).collect(),
        });
    }

    fn judged(self, name: String, dependencies: Vec<Dependency>, fail_static: bool) -> Found {
        let mut counts = DependencyCounts::default();
        for one in &dependencies {
            *match one.health {
                Health::Healthy => &mut counts.up,
                Health::Unhealthy => &mut counts.down,
                Health::Unknown => &mut counts.unknown,
            } += 1;
        }
        let well = dependencies.iter().all(|one| one.health != Health::Unhealthy && !one.unchecked);
        let oldest = dependencies.iter().map(|one| one.age.as_secs()).max();
        let rows = dependencies.into_iter().map(|one| DependencyRow {
            name: one.name,
            health: one.health,
            unchecked: one.unchecked,
            checked_s_ago: one.age.as_secs(),
            reason: one.reason,
        });
        Found {
            schema: 1,
            name,
            state: State::of(&self.seen, well),
            fail_static,
            checked_s_ago: self.oldest_s.max(oldest),
            endpoints: self.counts,
            dependencies: counts,
            details: Some(Details { dependencies: rows.collect(), endpoints: self.rows }),
        }
    }
}
