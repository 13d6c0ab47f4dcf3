//! What the router can be told: `[router]` of `node.toml`, `router.toml`, and the routes of a manifest.

mod balance;
mod basic_auth;
mod breaker;
mod cache;
mod check;
mod compress;
mod dns;
mod fallback;
mod fragments;
mod hedge;
mod http2;
mod https;
mod idempotency;
mod limit;
mod matching;
mod own_writes;
mod policy;
mod rate;
mod retry;
mod rotation;
mod tls;
mod treatment;
mod upstream;

use std::path::PathBuf;

use net::listen::ListenAddr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use balance::{BalanceConfig, BalanceMethod, EjectionConfig};
pub use basic_auth::{BasicAuthConfig, USERS_MAX, User};
pub use breaker::BreakerConfig;
pub use cache::{CacheConfig, CookieCaching};
pub use check::CheckConfig;
pub use compress::{CompressConfig, ContentCoding};
pub use dns::DnsConfig;
pub use fallback::{DegradeConfig, FallbackConfig};
pub use fragments::FragmentsConfig;
pub use hedge::HedgeConfig;
pub use http2::Http2Config;
pub use https::HttpsConfig;
pub use idempotency::IdempotencyConfig;
pub use limit::{LimitConfig, PriorityClass, PriorityConfig};
pub use matching::RequestMatch;
pub use own_writes::OwnWritesConfig;
pub use policy::RoutePolicy;
pub use rate::{KeyError, RateConfig, RequestKey};
pub use retry::RetryConfig;
pub use rotation::RotationConfig;
pub use tls::{AcmeConfig, CertificateConfig, ClientCertificate, TlsConfig, TlsVersion};
pub(crate) use treatment::editable;
pub use treatment::{ClientsConfig, FieldEdits, RedirectConfig, RewriteConfig, TreatmentFault};
pub use upstream::{BudgetConfig, Protocol, UpstreamPolicy};

/// The router's own settings and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to serve HTTP on. A node without any takes 127.0.0.1:8080.
    pub listen: Vec<ListenAddr>,
    /// Worker threads; 0 means one per core.
    #[schemars(range(max = 1_024))]
    pub workers: u16,
    /// Peers whose `traceparent`, `X-Forwarded-*` and deadline headers are believed: addresses or networks.
    #[schemars(with = "Vec<Network>")]
    pub trusted_peers: Vec<String>,
    /// Balancers that begin each connection with a PROXY protocol header, version 1 or 2: addresses or networks. The client
    /// is whom the header names. From them a connection without one is closed; from anybody else a header is no request.
    #[schemars(with = "Vec<Network>")]
    pub proxy_protocol_from: Vec<String>,
    /// Listeners with TLS.
    pub tls: TlsConfig,
    /// HTTP/2 from clients.
    pub http2: Http2Config,
    /// Client connections open at once.
    #[schemars(range(min = 1))]
    pub connections_max: u32,
    /// Bytes of a request target; beyond it 414.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub target_bytes_max: u32,
    /// Bytes of a request's header block; beyond it 431.
    #[schemars(range(min = 1_024, max = 16_777_216))]
    pub header_bytes_max: u32,
    /// Header fields of a request; beyond it 431.
    #[schemars(range(min = 8, max = 10_000))]
    pub header_fields_max: u16,
    /// Time for a client to send its header block; beyond it 408.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub header_timeout_ms: u32,
    /// Time between two pieces of a request's body; beyond it 408.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub body_timeout_ms: u32,
    /// Time for a client to take the next piece of a reply; beyond it the connection is closed.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub write_timeout_ms: u32,
    /// Time between two pieces of an endpoint's reply; beyond it the reply is broken off.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub reply_idle_timeout_ms: u32,
    /// Time a client connection may idle between requests.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub idle_timeout_ms: u32,
    /// Time that a WebSocket connection may be without a byte either way; beyond it it is closed.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub tunnel_idle_timeout_ms: u32,
    /// Time that a WebSocket connection may last.
    #[schemars(range(min = 1))]
    pub tunnel_timeout_ms: u32,
    /// Bytes of a request's body unless the route says otherwise; beyond it 413.
    pub body_bytes_max: u64,
    /// Time to connect to an endpoint, a handshake with it included.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub connect_timeout_ms: u32,
    /// Handshakes with endpoints under way at once, per worker; beyond it they wait, within the time to connect.
    #[schemars(range(min = 1))]
    pub endpoint_handshakes_max: u16,
    /// Idle connections kept per endpoint and worker.
    pub pool_idle_max: u16,
    /// Time an idle connection to an endpoint is kept.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub pool_idle_timeout_ms: u32,
    /// Folder for requests' content that does not stay in memory; the files in it have no names. Absent: `router/spool` in
    /// the data folder; a router alone without a data folder keeps nothing on disk.
    pub spool_dir: Option<PathBuf>,
    /// Bytes of requests' content kept in memory for another try, all requests together; beyond it content goes to disk.
    pub kept_memory_bytes_max: u64,
    /// Bytes of requests' content kept on disk for another try, all requests together; beyond it requests are not repeated.
    pub kept_disk_bytes_max: u64,
    /// First answers to requests with an `Idempotency-Key` that are kept; beyond it the oldest are forgotten.
    pub answers_max: u32,
    /// Bytes of them, on disk in the data folder; without one in memory.
    pub answers_bytes_max: u64,
    /// Bytes of answers that routes with `cache` keep in memory, all together, bookkeeping included; beyond it what was not
    /// used goes.
    pub cache_bytes_max: u64,
    /// Bytes of one answer that is kept; a longer one is passed on.
    pub cache_object_bytes_max: u64,
    /// Answers that are fetched for the cache at once; beyond it requests are not shared.
    #[schemars(range(min = 1))]
    pub cache_fetches_max: u32,
    /// Requests that wait for the head of one such answer; beyond it they are not shared.
    #[schemars(range(min = 1))]
    pub cache_waiters_max: u32,
    /// Bytes of answers on their way into the cache, all together; beyond it they are passed on and not kept.
    pub cache_arriving_bytes_max: u64,
    /// Bytes of answers that the cache keeps on disk when memory has no room for them, in the folder `cache` of the router's
    /// data folder; beyond it the oldest go. 0: none.
    pub cache_disk_bytes_max: u64,
    /// Bytes of memory to know what is on that disk; beyond it the oldest go.
    pub cache_disk_index_bytes_max: u64,
    /// Bytes of answers on their way to that disk or back; beyond it they are not kept there, and not read from it.
    pub cache_disk_moving_bytes_max: u64,
    /// Passwords of users that are compared with their hashes at once, each on a thread of its own.
    #[schemars(range(min = 1, max = 64))]
    pub password_checks_max: u16,
    /// Requests that wait for that; beyond it 503.
    pub password_waits_max: u16,
    /// Replies that are compressed at once, each of which takes up to 1 MiB; beyond it they go out as they are.
    pub compressions_max: u32,
    /// Bytes of fragments in pages that are on their way, all together; beyond it fragments are left out.
    pub fragments_bytes_max: u64,
    /// Tries that a hedge has overtaken and that a worker lets come to their end, because that keeps their connection; beyond
    /// it they are cut.
    pub overtaken_max: u16,
    /// Requests held while no endpoint of their upstream is up; beyond it 503 at once.
    pub held_max: u32,
    /// Time that client connections without a request get, when the router drains, to send one more: its answer says that
    /// the connection is closed. Part of `drain_timeout_ms`.
    #[schemars(range(max = 60_000))]
    pub drain_idle_ms: u32,
    /// Time for requests in flight to finish when the router drains.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub drain_timeout_ms: u32,
    /// Time for the new process of an upgrade, first to check its configuration and then to serve; beyond it it is ended and
    /// the old one goes on.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub upgrade_timeout_ms: u32,
    /// Time for requests in flight to finish when a node upgrades in its place; new connections wait meanwhile.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub upgrade_drain_ms: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            workers: 0,
            trusted_peers: vec!["127.0.0.0/8".into(), "::1/128".into()],
            proxy_protocol_from: Vec::new(),
            tls: TlsConfig::default(),
            http2: Http2Config::default(),
            connections_max: 10_000,
            target_bytes_max: 8 << 10,
            header_bytes_max: 32 << 10,
            header_fields_max: 100,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            reply_idle_timeout_ms: 60_000,
            idle_timeout_ms: 60_000,
            tunnel_idle_timeout_ms: 300_000,
            tunnel_timeout_ms: 86_400_000,
            body_bytes_max: 64 << 20,
            connect_timeout_ms: 1_000,
            endpoint_handshakes_max: 128,
            pool_idle_max: 64,
            pool_idle_timeout_ms: 30_000,
            spool_dir: None,
            kept_memory_bytes_max: 32 << 20,
            kept_disk_bytes_max: 1 << 30,
            answers_max: 100_000,
            answers_bytes_max: 256 << 20,
            cache_bytes_max: 32 << 20,
            cache_object_bytes_max: 8 << 20,
            cache_fetches_max: 1_024,
            cache_waiters_max: 4_096,
            cache_arriving_bytes_max: 16 << 20,
            cache_disk_bytes_max: 0,
            cache_disk_index_bytes_max: 16 << 20,
            cache_disk_moving_bytes_max: 16 << 20,
            password_checks_max: 2,
            password_waits_max: 64,
            compressions_max: 64,
            fragments_bytes_max: 32 << 20,
            overtaken_max: 256,
            held_max: 1_000,
            drain_idle_ms: 500,
            drain_timeout_ms: 30_000,
            upgrade_timeout_ms: 30_000,
            upgrade_drain_ms: 5_000,
        }
    }
}

/// A trusted peer in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "network"))]
#[expect(dead_code, reason = "only its schema is used")]
struct Network(String);

/// One `[[routes]]` of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false))]
pub struct RouteConfig {
    /// The host that the route is for, without a port; absent: any host.
    #[serde(default)]
    #[schemars(extend("format" = "host-name"))]
    pub host: Option<String>,
    /// The beginning of the path, by whole segments: `/shop` takes `/shop` and `/shop/cart`, not `/shopping`.
    #[serde(default = "root_path")]
    #[schemars(extend("format" = "url-path"))]
    pub path_prefix: String,
    /// The process that answers.
    #[schemars(with = "String", extend("format" = "process-name"))]
    pub process: stdx::ids::ProcessName,
    /// Times and sizes.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

fn root_path() -> String {
    "/".into()
}
