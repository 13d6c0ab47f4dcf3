//! Endpoints and dependencies that somebody means to check and nobody does: an alarm in the log, once, and its end. It does
//! not depend on those who check: when they hang or have died, this is what tells.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use health::{Alarm, Seen, Silences};
use stdx::clock::Mono;
use stdx::ids::Scope;

use crate::health_source::HealthSource;
use crate::routing::{Routing, UpstreamName};
use crate::worker::Worker;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What should be checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Checked {
    Endpoint(UpstreamName, SocketAddr, Option<String>),
    Dependency(Scope, String),
}

/// Looks for ever.
pub(crate) async fn watch(worker: &Worker) {
    let mut silences = Silences::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let routing = std::sync::Arc::clone(&worker.shared.snapshot().source);
        silences.look(all(&routing, &*worker.shared.health, worker.now())).into_iter().for_each(say);
    }
}

/// Everything that somebody checks. An endpoint on its way out is nobody's concern.
fn all(routing: &Routing, health: &dyn HealthSource, now: Mono) -> Vec<Seen<Checked>> {
    let mut all = Vec::new();
    for upstream in &routing.upstreams {
        for endpoint in upstream.endpoints.iter().filter(|endpoint| !endpoint.draining) {
            let Some(verdict) = health.verdict(&upstream.name, endpoint) else { continue };
            let key = Checked::Endpoint(upstream.name.clone(), endpoint.addr, endpoint.instance.clone());
            all.push(Seen { key, age: verdict.age(now), unchecked: verdict.is_unchecked(now) });
        }
    }
    let scopes: BTreeSet<&Scope> = routing.routes.iter().filter_map(|route| route.scope.as_ref()).collect();
    for scope in scopes {
        let dependencies = health.dependencies(scope).into_iter();
        all.extend(dependencies.map(|one| Seen {
            key: Checked::Dependency(scope.clone(), one.name),
            age: one.age,
            unchecked: one.unchecked,
        }));
    }
    all
}

fn say(alarm: Alarm<Checked>) {
    match alarm {
        Alarm::Unchecked(Checked::Endpoint(upstream, addr, instance), age) => {
            let (instance, age_s) = (instance.unwrap_or_default(), age.as_secs());
            tracing::error!(%upstream, %addr, instance, age_s, "nobody has checked the endpoint for three intervals");
        }
        Alarm::Unchecked(Checked::Dependency(scope, dependency), age) => {
            let age_s = age.as_secs();
            tracing::error!(%scope, dependency, age_s, "nobody has checked the dependency for three intervals");
        }
        Alarm::Checked(Checked::Endpoint(upstream, addr, instance)) => {
            let instance = instance.unwrap_or_default();
            tracing::info!(%upstream, %addr, instance, "the endpoint is checked again");
        }
        Alarm::Checked(Checked::Dependency(scope, dependency)) => {
            tracing::info!(%scope, dependency, "the dependency is checked again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health_source::Dependency;
    use crate::routing::{EndpointSpec, RouteSpec, UpstreamSpec};
    use health::{Health, Verdict};

    /// Checks both of two endpoints at 0 s, and the dependency at all times.
    #[derive(Debug)]
    struct Once;

    impl HealthSource for Once {
        fn verdict(&self, _: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict> {
            let checked = (endpoint.addr.port() != 3).then_some(Mono(0))?;
            let silence_max = Duration::from_secs(u64::from(endpoint.addr.port()));
            let (failure, before) = (None, Duration::ZERO);
            Some(Verdict {
                health: Health::Healthy,
                failure,
                checked,
                before,
                silence_max,
                positions: Default::default(),
            })
        }

        fn dependencies(&self, _: &Scope) -> Vec<Dependency> {
            let (health, age) = (Health::Healthy, Duration::ZERO);
            vec![Dependency { name: "db".into(), health, reason: None, age, unchecked: false }]
        }
    }

    #[test]
    fn whoever_is_checked_by_somebody_is_watched_until_it_leaves() {
        let endpoint = |port, draining| EndpointSpec { draining, ..EndpointSpec::at(([10, 0, 0, 1], port).into()) };
        let endpoints = vec![endpoint(1, false), endpoint(2, false), endpoint(3, false), endpoint(4, true)];
        let name = UpstreamName::new("shop/production/web");
        let upstreams =
            vec![UpstreamSpec { name: name.clone(), endpoints, policy: Default::default(), reach: Default::default() }];
        let scope = "shop".parse().ok();
        let route = |host: &str| RouteSpec {
            name: host.into(),
            host: Some(host.into()),
            path_prefix: "/".into(),
            upstream: name.clone(),
            fallback: None,
            primary: None,
            scope: scope.clone(),
            policy: Default::default(),
        };
        let routing = Routing { routes: vec![route("a"), route("b")], upstreams };
        let unchecked = |at_ms: u64| -> Vec<bool> {
            all(&routing, &Once, Mono(0) + Duration::from_millis(at_ms)).iter().map(|seen| seen.unchecked).collect()
        };
        assert_eq!(unchecked(1_000), [false, false, false], "two endpoints that are checked, and one dependency");
        assert_eq!(unchecked(1_500), [true, false, false]);
        assert_eq!(unchecked(2_500), [true, true, false]);
    }
}
