//! The router's metrics. Series are bounded: so many routes and endpoints are told apart, in the order of the routing, and
//! a gauge says how many more there are.

use std::sync::atomic::Ordering::Relaxed;

use control::metrics::{Exposition, Family, Kind};
use control::wire::figures::{EndpointRow, HistogramRow, LimiterRow, RouteRow};

use super::rows::CLASSES;
use crate::handle::Handle;

/// Routes that have series of their own.
const ROUTES_MAX: usize = 500;
/// Endpoints that have series of their own.
const ENDPOINTS_MAX: usize = 1_000;
/// The bounds that Prometheus gets are every second of those that are counted by: 1, 2 and 5 of each decade.
const LEADING_DIGITS: [u64; 3] = [1, 2, 5];

impl Handle {
    /// Adds the router's metrics to a page.
    pub fn metrics(&self, page: &mut Exposition) {
        let (mut routes, mut endpoints) = (self.route_rows(), self.endpoint_rows());
        let beyond = routes.len().saturating_sub(ROUTES_MAX) + endpoints.len().saturating_sub(ENDPOINTS_MAX);
        routes.truncate(ROUTES_MAX);
        endpoints.truncate(ENDPOINTS_MAX);
        self.whole(page, beyond);
        of_routes(page, &routes);
        of_breakers(page, &routes);
        of_limiters(page, &routes);
        of_endpoints(page, &endpoints);
        self.of_cache(page);
        self.levels(page);
        self.of_upstreams(page);
        self.of_upstream_limits(page);
        self.of_dependencies(page);
        self.of_certificates(page);
    }

    fn whole(&self, page: &mut Exposition, beyond: usize) {
        let counts = self.counts();
        let p = page;
        p.one(
            "forebay_router_answers_total",
            Kind::Counter,
            "Requests answered, on any route or none.",
            counts.requests,
        );
        p.one("forebay_router_connections", Kind::Gauge, "Client connections open.", counts.connections);
        p.one("forebay_router_held", Kind::Gauge, "Requests that wait until somebody is up.", counts.held);
        let help = "Access records that found their ring full.";
        p.one("forebay_router_access_records_dropped_total", Kind::Counter, help, counts.records_dropped);
        p.one("forebay_router_pool_idle", Kind::Gauge, "Idle connections to endpoints.", counts.pool_idle);
        p.one("forebay_router_overrides", Kind::Gauge, "Settings by hand that stand.", self.set_rows().len());
        p.one(
            "forebay_router_series_omitted",
            Kind::Gauge,
            "Routes and endpoints without series of their own.",
            beyond,
        );
    }

    fn levels(&self, page: &mut Exposition) {
        let levels = self.degrade_levels();
        let mut family =
            page.family("forebay_router_degrade_level", Kind::Gauge, "The degrade level of an application, 0 to 3.");
        for view in levels.iter().take(ROUTES_MAX) {
            family.sample(&[("app", &view.app)], view.level);
        }
    }

    fn of_upstreams(&self, page: &mut Exposition) {
        let now = self.clock.mono();
        let snapshot = self.shared.snapshot();
        let mut upstreams: Vec<_> =
            snapshot.routes.iter().map(|route| (route.facts.upstream.as_str(), &route.upstream)).collect();
        upstreams.sort_by_key(|(name, _)| *name);
        upstreams.dedup_by_key(|(name, _)| *name);
        upstreams.truncate(ROUTES_MAX);
        let mut family = page.family(
            "forebay_router_fail_static",
            Kind::Gauge,
            "1 where so many endpoints look dead that their checks are not believed.",
        );
        for (name, upstream) in &upstreams {
            family.sample(&[("upstream", name)], u8::from(upstream.state.fail_static.load(Relaxed)));
        }
        let mut family = page.family(
            "forebay_router_budget_spent",
            Kind::Gauge,
            "Retries and hedges that were paid for in the last ten seconds.",
        );
        for (name, upstream) in &upstreams {
            family.sample(&[("upstream", name)], upstream.state.budget.spent(now));
        }
        let mut family = page.family(
            "forebay_router_budget_earned",
            Kind::Gauge,
            "Retries and hedges that the requests of the last ten seconds allow; there may be more, up to the floor.",
        );
        for (name, upstream) in &upstreams {
            family.sample(&[("upstream", name)], upstream.state.budget.earned(&upstream.policy.budget, now));
        }
    }
}

fn of_routes(page: &mut Exposition, routes: &[RouteRow]) {
    let mut family = page.family(
        "forebay_router_requests_total",
        Kind::Counter,
        "Requests of a route, by the class of their reply's status.",
    );
    for row in routes {
        for class in CLASSES {
            let count = row.answered.get(class).copied().unwrap_or_default();
            family.sample(&[("route", &row.route), ("status", class)], count);
        }
    }
    let mut family = page.family(
        "forebay_router_request_seconds",
        Kind::Histogram,
        "From a request's head to its reply's, by route.",
    );
    for row in routes {
        histogram(&mut family, &[("route", &row.route)], &row.latency);
    }
    let mut family = page.family("forebay_router_extra_tries_total", Kind::Counter, "Retries and hedges, by route.");
    for row in routes {
        family.sample(&[("route", &row.route), ("kind", "retry")], row.retries);
        family.sample(&[("route", &row.route), ("kind", "hedge")], row.hedges);
    }
    let mut family =
        page.family("forebay_router_events_total", Kind::Counter, "What else decided about requests, by route.");
    for row in routes {
        for (event, count) in &row.events {
            family.sample(&[("route", &row.route), ("event", event)], count);
        }
    }
}

fn of_breakers(page: &mut Exposition, routes: &[RouteRow]) {
    let mut family =
        page.family("forebay_router_breaker", Kind::Gauge, "1 for the state that a route's breaker is in.");
    for row in routes {
        for state in ["closed", "open", "probing"] {
            family.sample(&[("route", &row.route), ("state", state)], u8::from(row.breaker == state));
        }
    }
    let mut family =
        page.family("forebay_router_breaker_by_hand", Kind::Gauge, "1 where a breaker stands as it was told to.");
    for row in routes {
        for state in ["tripped", "closed"] {
            let stands = row.breaker_by_hand.as_deref() == Some(state);
            family.sample(&[("route", &row.route), ("state", state)], u8::from(stands));
        }
    }
    let mut family = page.family("forebay_router_faults", Kind::Gauge, "Faults that are set on a route by hand.");
    for row in routes {
        family.sample(&[("route", &row.route)], row.faults);
    }
}

fn of_limiters(page: &mut Exposition, routes: &[RouteRow]) {
    let limited: Vec<_> = routes.iter().filter_map(|row| Some((row.route.as_str(), row.limiter.as_ref()?))).collect();
    let mut gauge = |name, help, value: fn(&LimiterRow) -> u32| {
        let mut family = page.family(name, Kind::Gauge, help);
        for (route, limiter) in &limited {
            family.sample(&[("route", route)], value(limiter));
        }
    };
    gauge("forebay_router_limit", "Requests of a route that may be under way at once.", |limiter| limiter.limit);
    gauge("forebay_router_limit_in_use", "Requests of a limited route that are under way.", |limiter| limiter.in_use);
    gauge("forebay_router_limit_waiting", "Requests of a limited route that wait.", |limiter| limiter.waiting);
    let mut family = page.family(
        "forebay_router_limit_shed_total",
        Kind::Counter,
        "Requests of a limited route that were turned away.",
    );
    for (route, limiter) in &limited {
        family.sample(&[("route", route)], limiter.shed);
    }
}

fn of_endpoints(page: &mut Exposition, endpoints: &[EndpointRow]) {
    let mut family =
        page.family("forebay_router_endpoint_in_flight", Kind::Gauge, "Requests that an endpoint has in hand.");
    for row in endpoints {
        family.sample(&labels(row), row.in_flight);
    }
    let mut family = page.family("forebay_router_endpoint_up", Kind::Gauge, "1 where an endpoint may be picked.");
    for row in endpoints {
        family.sample(&labels(row), u8::from(row.state == "up"));
    }
    let mut family = page.family(
        "forebay_router_endpoint_healthy",
        Kind::Gauge,
        "1 where an endpoint's checks say that it is well.",
    );
    for row in endpoints {
        family.sample(&labels(row), u8::from(row.health == "healthy"));
    }
    let mut family = page.family(
        "forebay_router_endpoint_ejected",
        Kind::Gauge,
        "1 where an endpoint is left alone because it fails.",
    );
    for row in endpoints {
        family.sample(&labels(row), u8::from(row.state == "left alone"));
    }
    let help = "1 where an endpoint should be checked and nobody has checked it for three intervals.";
    let mut family = page.family("forebay_router_endpoint_unchecked", Kind::Gauge, help);
    for row in endpoints {
        family.sample(&labels(row), u8::from(row.unchecked));
    }
    let mut family = page.family("forebay_router_tries_total", Kind::Counter, "Tries at an endpoint, by their ends.");
    for row in endpoints {
        for (outcome, count) in &row.tries {
            let [upstream, endpoint, instance] = labels(row);
            family.sample(&[upstream, endpoint, instance, ("outcome", outcome)], count);
        }
    }
    let mut family = page.family(
        "forebay_router_try_seconds",
        Kind::Histogram,
        "From the start of a try to its reply's head, by endpoint.",
    );
    for row in endpoints {
        histogram(&mut family, &labels(row), &row.latency);
    }
}

fn labels(row: &EndpointRow) -> [(&'static str, &str); 3] {
    [
        ("upstream", row.upstream.as_str()),
        ("endpoint", row.endpoint.as_str()),
        ("instance", row.instance.as_deref().unwrap_or_default()),
    ]
}

/// A histogram by the coarser bounds, in seconds.
fn histogram(family: &mut Family<'_>, labels: &[(&'static str, &str)], latency: &HistogramRow) {
    let (mut bounds, mut counts, mut pending) = (Vec::new(), Vec::new(), 0);
    for (index, count) in latency.counts.iter().enumerate() {
        pending += count;
        let Some(bound) = latency.bounds_us.get(index) else { break };
        if is_coarse(*bound) {
            bounds.push(*bound as f64 / 1e6);
            counts.push(std::mem::take(&mut pending));
        }
    }
    counts.push(pending);
    family.histogram(labels, &bounds, &counts, latency.sum_us as f64 / 1e6);
}

fn is_coarse(bound_us: u64) -> bool {
    let magnitude = 10u64.pow(bound_us.max(1).ilog10());
    LEADING_DIGITS.iter().any(|digit| bound_us == digit * magnitude)
}
