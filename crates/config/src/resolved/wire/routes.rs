//! Routes and upstreams in the stored JSON, version 1: as in `wire`, a key may be added with a default, none may change.

use router::config::{
    BalanceConfig, BasicAuthConfig, BreakerConfig, BudgetConfig, CacheConfig, ClientsConfig, CompressConfig,
    DegradeConfig, EjectionConfig, FallbackConfig, FieldEdits, FragmentsConfig, HedgeConfig, HttpsConfig,
    IdempotencyConfig, LimitConfig, OwnWritesConfig, PriorityConfig, Protocol, RateConfig, RedirectConfig,
    RewriteConfig, RotationConfig, RouteConfig, RoutePolicy, UpstreamPolicy,
};
use serde::{Deserialize, Serialize};
use stdx::ids::ProcessName;

use super::tries::{Hedge, Retry};

#[derive(Serialize, Deserialize)]
pub(super) struct Route {
    #[serde(default)]
    host: Option<String>,
    #[serde(default = "root_path")]
    path_prefix: String,
    process: ProcessName,
    #[serde(flatten)]
    policy: Policy,
}

fn root_path() -> String {
    "/".into()
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Policy {
    deadline_ms: u32,
    try_timeout_ms: u32,
    retries_max: u8,
    hold_ms: u32,
    body_bytes_max: Option<u64>,
    retry: Retry,
    #[serde(skip_serializing_if = "Option::is_none")]
    hedge: Option<Hedge>,
    /// Optional tables are stored as they were written, with all of their keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency: Option<IdempotencyConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_your_writes: Option<OwnWritesConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<BreakerConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<PriorityConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<FallbackConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    degrade: Option<DegradeConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compress: Option<CompressConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragments: Option<FragmentsConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    https: Option<HttpsConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<ClientsConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicAuthConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<RedirectConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewrite: Option<RewriteConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_headers: Option<FieldEdits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_headers: Option<FieldEdits>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    server_timing: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            deadline_ms: 30_000,
            try_timeout_ms: 10_000,
            retries_max: 1,
            hold_ms: 5_000,
            body_bytes_max: None,
            retry: Retry::default(),
            hedge: None,
            idempotency: None,
            cache: None,
            read_your_writes: None,
            breaker: None,
            limit: None,
            priority: None,
            rate: None,
            fallback: None,
            degrade: None,
            compress: None,
            fragments: None,
            https: None,
            clients: None,
            basic_auth: None,
            redirect: None,
            rewrite: None,
            request_headers: None,
            reply_headers: None,
            server_timing: false,
        }
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Upstream {
    protocol: Protocol,
    budget: Budget,
    rotation: Rotation,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ejection: Option<EjectionConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitConfig>,
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Rotation {
    fail_static_percent: u8,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { fail_static_percent: 50 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Budget {
    percent: u8,
    floor_per_s: u16,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { percent: 10, floor_per_s: 2 }
    }
}

impl From<&RouteConfig> for Route {
    fn from(from: &RouteConfig) -> Route {
        let RouteConfig { host, path_prefix, process, policy } = from.clone();
        Route { host, path_prefix, process, policy: policy.into() }
    }
}

impl From<Route> for RouteConfig {
    fn from(from: Route) -> RouteConfig {
        let Route { host, path_prefix, process, policy } = from;
        RouteConfig { host, path_prefix, process, policy: policy.into() }
    }
}

impl From<RoutePolicy> for Policy {
    fn from(from: RoutePolicy) -> Policy {
        let RoutePolicy {
            deadline_ms,
            try_timeout_ms,
            retries_max,
            hold_ms,
            body_bytes_max,
            retry,
            hedge,
            idempotency,
            cache,
            read_your_writes,
            breaker,
            limit,
            priority,
            rate,
            fallback,
            degrade,
            compress,
            fragments,
            https,
            clients,
            basic_auth,
            redirect,
            rewrite,
            request_headers,
            reply_headers,
            server_timing,
        } = from;
        let (retry, hedge) = (retry.into(), hedge.map(Hedge::from));
        Policy {
            deadline_ms,
            try_timeout_ms,
            retries_max,
            hold_ms,
            body_bytes_max,
            retry,
            hedge,
            idempotency,
            cache,
            read_your_writes,
            breaker,
            limit,
            priority,
            rate,
            fallback,
            degrade,
            compress,
            fragments,
            https,
            clients,
            basic_auth,
            redirect,
            rewrite,
            request_headers,
            reply_headers,
            server_timing,
        }
    }
}

impl From<Policy> for RoutePolicy {
    fn from(from: Policy) -> RoutePolicy {
        let Policy {
            deadline_ms,
            try_timeout_ms,
            retries_max,
            hold_ms,
            body_bytes_max,
            retry,
            hedge,
            idempotency,
            cache,
            read_your_writes,
            breaker,
            limit,
            priority,
            rate,
            fallback,
            degrade,
            compress,
            fragments,
            https,
            clients,
            basic_auth,
            redirect,
            rewrite,
            request_headers,
            reply_headers,
            server_timing,
        } = from;
        let (retry, hedge) = (retry.into(), hedge.map(HedgeConfig::from));
        RoutePolicy {
            deadline_ms,
            try_timeout_ms,
            retries_max,
            hold_ms,
            body_bytes_max,
            retry,
            hedge,
            idempotency,
            cache,
            read_your_writes,
            breaker,
            limit,
            priority,
            rate,
            fallback,
            degrade,
            compress,
            fragments,
            https,
            clients,
            basic_auth,
            redirect,
            rewrite,
            request_headers,
            reply_headers,
            server_timing,
        }
    }
}

impl From<&UpstreamPolicy> for Upstream {
    fn from(from: &UpstreamPolicy) -> Upstream {
        let UpstreamPolicy { protocol, budget, rotation, balance, ejection, limit } = from.clone();
        let BudgetConfig { percent, floor_per_s } = budget;
        let RotationConfig { fail_static_percent } = rotation;
        let (budget, rotation) = (Budget { percent, floor_per_s }, Rotation { fail_static_percent });
        Upstream { protocol, budget, rotation, balance, ejection, limit }
    }
}

impl From<Upstream> for UpstreamPolicy {
    fn from(from: Upstream) -> UpstreamPolicy {
        let Upstream { protocol, budget: Budget { percent, floor_per_s }, rotation, balance, ejection, limit } = from;
        let rotation = RotationConfig { fail_static_percent: rotation.fail_static_percent };
        let budget = BudgetConfig { percent, floor_per_s };
        UpstreamPolicy { protocol, budget, rotation, balance, ejection, limit }
    }
}
