//! What a route may say about its requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hedge::{self, HedgeConfig};
use super::idempotency::IdempotencyConfig;
use super::own_writes::OwnWritesConfig;
use super::retry::RetryConfig;
use super::{
    BasicAuthConfig, BreakerConfig, CacheConfig, ClientsConfig, CompressConfig, DegradeConfig, FallbackConfig,
    FieldEdits, FragmentsConfig, HttpsConfig, LimitConfig, PriorityConfig, RateConfig, RedirectConfig, RewriteConfig,
};

/// What a route may say about time and size; the same keys in a manifest and in `router.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoutePolicy {
    /// From the request's arrival to the head of its reply, all tries and waiting included; beyond it 504.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub deadline_ms: u32,
    /// From the start of a try to the head of its reply; beyond it the next try, where that is safe.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub try_timeout_ms: u32,
    /// Tries after the first, on another endpoint, of safe and idempotent requests only.
    #[schemars(range(max = 10))]
    pub retries_max: u8,
    /// How long a request is held while no endpoint is up; beyond it 503.
    #[schemars(range(max = 3_600_000))]
    pub hold_ms: u32,
    /// Bytes of a request's body; beyond it 413. Absent: the router's own limit.
    pub body_bytes_max: Option<u64>,
    /// When the whole route is given a rest. Absent: never, unless by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerConfig>,
    /// What is retried, and when.
    pub retry: RetryConfig,
    /// A second try beside a slow first one. Absent: none.
    #[serde(deserialize_with = "hedge::read")]
    pub hedge: Option<HedgeConfig>,
    /// Whether answers are kept and given again. Absent: every request goes to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
    /// Whether requests with an `Idempotency-Key` get one answer however often they are sent. Absent: the key is passed on.
    pub idempotency: Option<IdempotencyConfig>,
    /// Whether clients read what they wrote where copies answer reads. Absent: any endpoint answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_your_writes: Option<OwnWritesConfig>,
    /// How many of its requests may be under way at once. Absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitConfig>,
    /// Who comes first where its requests wait. Absent: all are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<PriorityConfig>,
    /// Whether replies tell the client their times in a `Server-Timing` header.
    pub server_timing: bool,
    /// How often the same client may ask. Absent: as often as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
    /// What is answered when the application cannot. Absent: the router's own errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackConfig>,
    /// At which degrade levels of its application the route is there. Absent: at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degrade: Option<DegradeConfig>,
    /// Which replies are compressed on their way. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressConfig>,
    /// Whether its pages are put together of fragments. Absent: they go out as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragments: Option<FragmentsConfig>,
    /// Whether its requests must come with TLS, and how long browsers remember that. Absent: as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsConfig>,
    /// Who may ask. Absent: everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientsConfig>,
    /// Which users may ask. Absent: nobody is asked for a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuthConfig>,
    /// Where its clients are sent instead of asking the application. Absent: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectConfig>,
    /// How the application knows the path. Absent: as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteConfig>,
    /// What is changed in the header of its requests. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<FieldEdits>,
    /// What is changed in the header of its replies, the router's own among them. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_headers: Option<FieldEdits>,
}

impl Default for RoutePolicy {
    fn default() -> RoutePolicy {
        RoutePolicy {
            deadline_ms: 30_000,
            try_timeout_ms: 10_000,
            retries_max: 1,
            hold_ms: 5_000,
            body_bytes_max: None,
            breaker: None,
            retry: RetryConfig::default(),
            hedge: None,
            cache: None,
            idempotency: None,
            read_your_writes: None,
            limit: None,
            priority: None,
            server_timing: false,
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
        }
    }
}
