//! Metrics of what stands beside routes and endpoints: limits of upstreams, and what applications depend on.

use std::collections::BTreeSet;

use control::metrics::{Exposition, Kind};
use health::Health;
use stdx::ids::Scope;

use crate::capacity::Figures;
use crate::handle::Handle;

/// Upstreams, and dependencies, that have series of their own.
const SERIES_MAX: usize = 500;

impl Handle {
    /// What the cache has on disk.
    pub(super) fn of_cache(&self, page: &mut Exposition) {
        let disk = self.shared.cache.disk_figures();
        let mut one = |name, kind, help, value: u64| page.one(name, kind, help, value);
        one("forebay_router_cache_disk_bytes", Kind::Gauge, "Bytes of answers on the cache's disk.", disk.bytes);
        let help = "Answers on the cache's disk.";
        one("forebay_router_cache_disk_entries", Kind::Gauge, help, disk.entries as u64);
        let help = "Requests that the cache's disk had the answer for.";
        one("forebay_router_cache_disk_hits_total", Kind::Counter, help, disk.hits);
        let help = "Answers that left memory and found no room on the way to the cache's disk.";
        one("forebay_router_cache_disk_refused_total", Kind::Counter, help, disk.refused);
        let help = "Failures of the cache's disk, and files on it that were not whole.";
        one("forebay_router_cache_disk_errors_total", Kind::Counter, help, disk.errors);
        let help = "Requests that asked the application because the cache's disk took too long.";
        one("forebay_router_cache_disk_slow_total", Kind::Counter, help, disk.slow);
    }

    /// The limits of upstreams: of all endpoints together.
    pub(super) fn of_upstream_limits(&self, page: &mut Exposition) {
        let limits = self.upstream_limits();
        let limits = &limits[..limits.len().min(SERIES_MAX)];
        let mut gauge = |name, help, value: fn(&Figures) -> u32| {
            let mut family = page.family(name, Kind::Gauge, help);
            for view in limits {
                family.sample(&[("upstream", &view.of)], value(&view.figures));
            }
        };
        gauge("forebay_router_upstream_limit", "Requests that the endpoints of an upstream may have at once.", |it| {
            it.limit
        });
        gauge("forebay_router_upstream_limit_in_use", "Requests of a limited upstream that are under way.", |it| {
            it.in_flight
        });
        gauge("forebay_router_upstream_limit_waiting", "Requests of a limited upstream that wait.", |it| it.waiting);
        let help = "Requests of a limited upstream that were turned away.";
        let mut family = page.family("forebay_router_upstream_limit_shed_total", Kind::Counter, help);
        for view in limits {
            family.sample(&[("upstream", &view.of)], view.figures.shed);
        }
    }

    /// What applications depend on, as they are checked once per node.
    pub(super) fn of_dependencies(&self, page: &mut Exposition) {
        let snapshot = self.shared.snapshot();
        let scopes: BTreeSet<&Scope> = snapshot.source.routes.iter().filter_map(|route| route.scope.as_ref()).collect();
        let all = scopes.into_iter().flat_map(|scope| {
            let dependencies = self.shared.health.dependencies(scope).into_iter();
            dependencies.map(move |one| (scope.to_string(), one))
        });
        let all: Vec<_> = all.take(SERIES_MAX).collect();
        let help = "1 where what an application depends on is not known to be down.";
        let mut family = page.family("forebay_dependency_up", Kind::Gauge, help);
        for (app, one) in &all {
            let up = one.health != Health::Unhealthy;
            family.sample(&[("app", app), ("dependency", &one.name)], u8::from(up));
        }
        let help = "1 where nobody has checked a dependency for three intervals.";
        let mut family = page.family("forebay_dependency_unchecked", Kind::Gauge, help);
        for (app, one) in &all {
            family.sample(&[("app", app), ("dependency", &one.name)], u8::from(one.unchecked));
        }
    }
}
