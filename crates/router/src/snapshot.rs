//! The routing, compiled: immutable, swapped whole. A request holds the one it began with until it has to look again.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use health::Health;
use net::reach::Reach;
use stdx::ids::{ReleaseNo, Scope};

use crate::balance::{self, Balance, Choice};
use crate::capacity::{AppState, RequestLimit, Rules};
use crate::config::{
    BalanceConfig, BreakerConfig, CompressConfig, Config, FragmentsConfig, IdempotencyConfig, Protocol, UpstreamPolicy,
};
use crate::edge::Https;
use crate::endpoint::{Endpoint, EndpointKey};
use crate::hedge::Hedge;
use crate::pick::Among;
use crate::retry;
use crate::routing::{EndpointSpec, RouteSpec, Routing, UpstreamName, UpstreamSpec};
use crate::treatment::Treatment;
use crate::upstream::{RouteState, States, UpstreamState};

/// All routes at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts up from one compiled snapshot to the next.
    pub(crate) version: u64,
    /// What it was compiled from.
    pub(crate) source: Arc<Routing>,
    pub(crate) routes: Vec<Route>,
    /// Indexes of a host's routes, longest prefix first.
    pub(crate) by_host: HashMap<Box<str>, Vec<usize>>,
    /// Indexes of the routes of any host, longest prefix first.
    pub(crate) any_host: Vec<usize>,
    /// Endpoints are told by the PROXY protocol who their client is.
    pub(crate) tells_clients: bool,
}

/// One worker's hold on a snapshot. Its requests count their references here, where no other worker does.
#[derive(Debug)]
pub(crate) struct View(pub(crate) Arc<Snapshot>);

impl std::ops::Deref for View {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// One route, ready to be asked.
#[derive(Debug)]
pub(crate) struct Route {
    /// Without a trailing slash; empty for `/`.
    pub(crate) prefix: Box<str>,
    /// What access records say about it.
    pub(crate) facts: Arc<RouteFacts>,
    pub(crate) policy: Policy,
    /// What decides whether it may take a request at all; `None` when nothing was asked for.
    pub(crate) rules: Option<Box<Rules>>,
    pub(crate) state: Arc<RouteState>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) app: Arc<AppState>,
    /// The degrade levels of its application at which it is there.
    pub(crate) degrade: Option<RangeInclusive<u8>>,
    /// The index of the route to the upstream that it falls back to.
    pub(crate) fallback: Option<usize>,
    /// The index of the route to the upstream that takes its writes.
    pub(crate) primary: Option<usize>,
}

/// The endpoints that a route leads to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) policy: UpstreamPolicy,
    pub(crate) state: Arc<UpstreamState>,
    pub(crate) targets: Box<[Target]>,
    pub(crate) balance: Option<Balance>,
    pub(crate) limit: Option<RequestLimit>,
}

/// The route as an access record names it.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub scope: Option<Scope>,
    /// Who answers.
    pub upstream: UpstreamName,
}

impl Upstream {
    /// Its targets, and how one of them is picked for a request.
    pub(crate) fn among(&self, choice: Choice) -> Among<'_> {
        Among {
            targets: &self.targets,
            balance: self.balance.as_ref(),
            ejected_percent: self.policy.ejection.as_ref().map(|ejection| ejection.share_percent),
            each_most: self.policy.limit.as_ref().map(|limit| limit.in_flight_max),
            turn: &self.state.turn,
            choice,
        }
    }
}

/// `RoutePolicy` in the units that the code computes with.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) deadline: Duration,
    pub(crate) try_timeout: Duration,
    pub(crate) retry: retry::Rule,
    pub(crate) hold: Duration,
    pub(crate) body_bytes_max: u64,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) idempotency: Option<Arc<IdempotencyConfig>>,
    pub(crate) cache: Option<Arc<http_cache::Policy>>,
    pub(crate) server_timing: bool,
    pub(crate) own_writes: Option<Arc<OwnWrites>>,
    pub(crate) https: Option<Arc<Https>>,
    pub(crate) compress: Option<Arc<CompressConfig>>,
    pub(crate) fragments: Option<Arc<FragmentsConfig>>,
    pub(crate) treatment: Option<Arc<Treatment>>,
}

/// How a route lets clients read what they wrote.
#[derive(Debug)]
pub(crate) struct OwnWrites {
    /// The name of the upstream that takes writes.
    pub(crate) primary: Box<str>,
    pub(crate) cookie: Box<str>,
    /// Milliseconds, as the cookie counts.
    pub(crate) window: u64,
    pub(crate) position_window: u64,
    pub(crate) wait: Duration,
}

impl OwnWrites {
    fn of(spec: &RouteSpec) -> Option<Arc<OwnWrites>> {
        let (config, primary) = spec.policy.read_your_writes.as_ref().zip(spec.primary.as_ref())?;
        // Applications that share a host must not share a cookie.
        let cookie = format!("forebay-rw-{:08x}", crc32c::crc32c(primary.as_str().as_bytes()));
        Some(Arc::new(OwnWrites {
            primary: primary.as_str().into(),
            cookie: cookie.into(),
            window: config.window_ms.into(),
            position_window: config.position_window_ms.into(),
            wait: Duration::from_millis(config.wait_ms.into()),
        }))
    }
}

/// One endpoint in one upstream.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) facts: Arc<TargetFacts>,
    /// Healthy, or not believed to be unhealthy, and not draining.
    pub(crate) in_rotation: bool,
    /// What it speaks where nothing is agreed on first.
    pub(crate) protocol: Protocol,
    /// What is said to it first, where anything is.
    pub(crate) reach: Option<Arc<Reach>>,
    pub(crate) weight: u32,
    /// It is picked only while nobody of a lower number is up.
    pub(crate) priority: u16,
    /// What stands for it in cookies and hashes.
    pub(crate) id: u64,
    /// When it is left alone because it fails.
    pub(crate) ejection: Option<Arc<BreakerConfig>>,
}

/// The endpoint as an access record names it.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// Where it listens.
    pub addr: std::net::SocketAddr,
    /// The instance behind it.
    pub instance: Option<String>,
    /// The release that it runs.
    pub release: Option<ReleaseNo>,
}

impl Snapshot {
    /// Compiles a routing; `endpoint` finds or makes the shared state of an address.
    pub(crate) fn compile(
        source: Arc<Routing>,
        version: u64,
        config: &Config,
        states: &States,
        mut endpoint: impl FnMut(EndpointKey) -> Arc<Endpoint>,
    ) -> Snapshot {
        let upstreams: HashMap<&UpstreamName, Arc<Upstream>> =
            source.upstreams.iter().map(|spec| (&spec.name, Arc::new(upstream(spec, states, &mut endpoint)))).collect();
        let nobody = |name| UpstreamSpec {
            name,
            endpoints: Vec::new(),
            policy: UpstreamPolicy::default(),
            reach: Reach::default(),
        };
        let mut routes: Vec<Route> = source
            .routes
            .iter()
            .map(|spec| {
                let upstream = upstreams.get(&spec.upstream).map_or_else(
                    || Arc::new(upstream(&nobody(spec.upstream.clone()), states, &mut endpoint)),
                    Arc::clone,
                );
                route(spec, upstream, states, config)
            })
            .collect();
        add_others(&mut routes, &source, &upstreams);
        let mut by_host: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut any_host = Vec::new();
        for (index, spec) in source.routes.iter().enumerate() {
            match &spec.host {
                Some(host) => by_host.entry(host.to_ascii_lowercase().into()).or_default().push(index),
                None => any_host.push(index),
            }
        }
        // Stable: of two equal prefixes the first that was named stays first.
        for list in by_host.values_mut().chain([&mut any_host]) {
            list.sort_by_key(|index| std::cmp::Reverse(routes[*index].prefix.len()));
        }
        let tells_clients = source.upstreams.iter().any(|one| one.reach.proxy_protocol.is_some());
        Snapshot { version, source: Arc::clone(&source), routes, by_host, any_host, tells_clients }
    }
}

/// Where a route falls back to another upstream, or writes to another, there is a route to that behind all others, which no request finds by
/// itself: it asks for nothing, and is counted nowhere.
fn add_others(routes: &mut Vec<Route>, source: &Routing, upstreams: &HashMap<&UpstreamName, Arc<Upstream>>) {
    for (index, spec) in source.routes.iter().enumerate() {
        let mut add = |name: &Option<UpstreamName>| {
            let upstream = upstreams.get(name.as_ref()?)?;
            let of = &routes[index];
            let other = Route {
                prefix: of.prefix.clone(),
                facts: Arc::clone(&of.facts),
                policy: of.policy.clone(),
                rules: None,
                state: Arc::default(),
                upstream: Arc::clone(upstream),
                app: Arc::clone(&of.app),
                degrade: None,
                fallback: None,
                primary: None,
            };
            routes.push(other);
            Some(routes.len() - 1)
        };
        let (fallback, primary) = (add(&spec.fallback), add(&spec.primary));
        (routes[index].fallback, routes[index].primary) = (fallback, primary);
    }
}

fn route(spec: &RouteSpec, upstream: Arc<Upstream>, states: &States, config: &Config) -> Route {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let facts = RouteFacts { name: spec.name.clone(), scope: spec.scope.clone(), upstream: spec.upstream.clone() };
    let state = states.routes.find(&spec.name);
    let hedge = spec.policy.hedge.as_ref().map(Hedge::of);
    if matches!(hedge, Some(Hedge::Percentile { .. })) {
        state.measure();
    }
    Route {
        prefix: spec.path_prefix.trim_end_matches('/').into(),
        facts: Arc::new(facts),
        policy: Policy {
            deadline: ms(spec.policy.deadline_ms),
            try_timeout: ms(spec.policy.try_timeout_ms),
            retry: retry::Rule::of(&spec.policy),
            hold: ms(spec.policy.hold_ms),
            body_bytes_max: spec.policy.body_bytes_max.unwrap_or(config.body_bytes_max),
            hedge,
            idempotency: spec.policy.idempotency.clone().map(Arc::new),
            cache: spec.policy.cache.as_ref().map(|cache| Arc::new(cache.policy())),
            server_timing: spec.policy.server_timing,
            own_writes: OwnWrites::of(spec),
            compress: spec.policy.compress.clone().map(Arc::new),
            fragments: spec.policy.fragments.clone().map(Arc::new),
            https: spec.policy.https.as_ref().map(|https| Arc::new(Https::of(https))),
            treatment: Treatment::of(&spec.policy, &spec.path_prefix),
        },
        rules: Rules::of(&spec.policy, &state),
        state,
        upstream,
        app: states.apps.find(&spec.scope.as_ref().map(ToString::to_string).unwrap_or_default()),
        degrade: spec.policy.degrade.as_ref().map(|levels| levels.from..=levels.to),
        fallback: None,
        primary: None,
    }
}

fn upstream(spec: &UpstreamSpec, states: &States, endpoint: &mut impl FnMut(EndpointKey) -> Arc<Endpoint>) -> Upstream {
    let state = states.upstreams.find(&spec.name);
    let fail_static = state.fails_static(spec);
    let reach = (spec.reach != Reach::default()).then(|| Arc::new(spec.reach.clone()));
    let targets =
        spec.endpoints.iter().map(|one| Target { reach: reach.clone(), ..target(one, spec, fail_static, endpoint) });
    let targets: Box<[Target]> = targets.collect();
    let in_rotation = targets.iter().filter(|target| target.in_rotation).count();
    let limit = spec.policy.limit.as_ref().map(|each| RequestLimit::of_all(each, in_rotation, &state.limiter));
    Upstream { balance: balance(spec), policy: spec.policy.clone(), limit, state, targets }
}

/// How it balances; without a word about it endpoints of different weights are balanced as by default.
fn balance(spec: &UpstreamSpec) -> Option<Balance> {
    let first = spec.endpoints.first().map(|one| one.weight);
    let differ = spec.endpoints.iter().any(|one| Some(one.weight) != first);
    match &spec.policy.balance {
        Some(config) => Some(Balance::of(config, differ)),
        None => differ.then(|| Balance::of(&BalanceConfig::default(), true)),
    }
}

fn target(
    spec: &EndpointSpec,
    of: &UpstreamSpec,
    fail_static: bool,
    endpoint: &mut impl FnMut(EndpointKey) -> Arc<Endpoint>,
) -> Target {
    let believed = spec.health == Health::Healthy || (fail_static && spec.health == Health::Unhealthy);
    let key = EndpointKey { addr: spec.addr, release: spec.release };
    let weights = of.policy.balance.as_ref().map(|balance| &balance.weights);
    Target {
        endpoint: endpoint(key),
        protocol: of.policy.protocol,
        reach: None,
        weight: weights
            .and_then(|weights| weights.get(&spec.addr.to_string()))
            .map_or(spec.weight, |set| u32::from(*set)),
        priority: spec.priority,
        id: balance::id_of(key),
        ejection: of.policy.ejection.as_ref().map(|ejection| Arc::new(ejection.breaker.clone())),
        facts: Arc::new(TargetFacts { addr: spec.addr, instance: spec.instance.clone(), release: spec.release }),
        in_rotation: believed && !spec.draining,
    }
}
