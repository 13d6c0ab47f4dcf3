//! What the queue can be told: `[queue]` of `node.toml` and `[queues.NAME]` of a manifest.

use std::path::PathBuf;

use std::collections::BTreeMap;

use net::listen::ListenAddr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cron::CronConfig;
use crate::durability::Durability;
use crate::push::PushConfig;
use crate::tls::TlsConfig;

/// The queue's own settings and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to serve the beanstalkd protocol on. A node without any takes 127.0.0.1:11300.
    pub listen: Vec<ListenAddr>,
    /// A unix socket to serve it on as well. What lies there from a process that died is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// The same protocol with TLS.
    pub tls: TlsConfig,
    /// Addresses to serve the HTTP API on, each application behind its token; loopback only. Without any it is part of the
    /// admin API alone.
    pub http_listen: Vec<ListenAddr>,
    /// HTTP connections open at once, those that wait for a job included; beyond it 503.
    #[schemars(range(min = 1, max = 100_000))]
    pub http_connections_max: u32,
    /// Bytes of bodies being received over HTTP on all connections together; beyond it 503.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub http_input_bytes_max: usize,
    /// Client connections open at once.
    #[schemars(range(min = 1))]
    pub connections_max: u32,
    /// Jobs in all tubes together; beyond it `put` is refused.
    #[schemars(range(min = 1))]
    pub jobs_max: u64,
    /// Bytes of job bodies in all tubes together; beyond it `put` is refused.
    #[schemars(range(min = 1))]
    pub bytes_max: u64,
    /// Bytes of one job's body; beyond it JOB_TOO_BIG.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub job_bytes_max: u32,
    /// Tubes that may exist at once.
    #[schemars(range(min = 1))]
    pub tubes_max: u32,
    /// Keys of deduplication (`put-with key=`, `unique=`) remembered at once; beyond it such a `put` is refused.
    pub keys_max: u32,
    /// Bytes of one segment of the log; fewer on a small disk, and no more than half of `disk_reserve_bytes`.
    #[schemars(range(min = 8_192, max = 4_294_967_295_i64))]
    pub segment_bytes_max: u64,
    /// Bytes of log after which a checkpoint of the index is written, so that a start reads no more than that of the log.
    #[schemars(range(min = 4_096))]
    pub checkpoint_log_bytes: u64,
    /// Memory for all that clients make the queue remember: jobs, keys, bodies, answers, connections; beyond it `put` is
    /// refused.
    #[schemars(range(min = 16_777_216))]
    pub memory_bytes_max: u64,
    /// Delayed jobs that are due later than this are known to memory by bucket, not one by one, once a checkpoint has them.
    #[schemars(range(min = 1_000, max = 31_536_000_000_i64))]
    pub horizon_ms: u64,
    /// Memory for what is known of all jobs beside their bodies, some 60 bytes each, and their keys and attempts; beyond it `put` is refused.
    #[schemars(range(min = 1_048_576))]
    pub index_bytes_max: u64,
    /// Bytes of job bodies in tubes of the durability `memory`; beyond it `put` there is refused.
    pub volatile_bytes_max: u64,
    /// Bytes of job bodies kept in memory beside the disk.
    pub body_cache_bytes_max: u64,
    /// Tubes that one connection may watch.
    pub connection_tubes_max: u32,
    /// Bytes of answers kept for a connection that does not read them; beyond it nothing more is read from it.
    pub connection_output_bytes_max: usize,
    /// Bytes of bodies being received on all connections together; beyond it `put` is refused.
    pub input_bytes_max: usize,
    /// How long answers wait for a client that does not read them; after that its connection is closed.
    pub output_stall_ms: u64,
    /// Free disk space below which `put` is refused, so that deletes always work.
    pub disk_reserve_bytes: u64,
    /// Limits and retry policy of a tube that names none of its own.
    pub tube: TubeConfig,
    /// Shared tubes that are delivered as HTTP, by name. An application's are in its manifest.
    #[schemars(extend("propertyNames" = {"format": "tube-name"}, "maxProperties" = 256))]
    pub push: BTreeMap<String, PushConfig>,
    /// Jobs that are put into shared tubes again and again. An application's are in its manifest.
    #[schemars(extend("propertyNames" = {"format": "tube-name"}, "maxProperties" = 256))]
    pub cron: BTreeMap<String, CronConfig>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            unix_socket: None,
            tls: TlsConfig::default(),
            http_listen: Vec::new(),
            http_connections_max: 1_000,
            http_input_bytes_max: 64 << 20,
            connections_max: 10_000,
            jobs_max: 10_000_000,
            bytes_max: 8 << 30,
            job_bytes_max: 65_535,
            tubes_max: 50_000,
            keys_max: 100_000,
            segment_bytes_max: 64 << 20,
            checkpoint_log_bytes: 64 << 20,
            memory_bytes_max: 1 << 30,
            horizon_ms: 3_600_000,
            index_bytes_max: 768 << 20,
            volatile_bytes_max: 256 << 20,
            body_cache_bytes_max: 16 << 20,
            connection_tubes_max: 10_000,
            connection_output_bytes_max: 128 << 10,
            input_bytes_max: 64 << 20,
            output_stall_ms: 30_000,
            disk_reserve_bytes: 64 << 20,
            tube: TubeConfig::default(),
            push: BTreeMap::new(),
            cron: BTreeMap::new(),
        }
    }
}

/// What becomes of a `put` for which its tube has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(with = "String")]
pub enum WhenFull {
    /// It is refused at once.
    #[default]
    Refuse,
    /// The oldest ready jobs of the tube are deleted until there is room.
    DropOldest,
    /// Its answer waits until there is room. Producers that wait get it in turn.
    Wait,
}

/// Limits and retry policy of one tube.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TubeConfig {
    /// Jobs in the tube, in whatever state; beyond it `put` is refused.
    #[schemars(range(min = 1))]
    pub jobs_max: u64,
    /// Bytes of job bodies in the tube; beyond it `put` is refused.
    #[schemars(range(min = 1))]
    pub bytes_max: u64,
    /// Age of the oldest ready job beyond which a `put` is refused: workers do not keep up. 0: no limit.
    pub age_max_ms: u64,
    /// What becomes of a `put` beyond one of these three: `refuse`, `drop-oldest` (the oldest ready jobs go), or `wait` (the
    /// answer comes when there is room).
    pub when_full: WhenFull,
    /// Jobs of the tube that may be reserved at once. 0: no limit.
    pub in_flight_max: u32,
    /// Jobs of the tube handed out per second; after a rest, those of one second at once. 0: no limit.
    #[schemars(range(max = 1_000_000))]
    pub rate_per_s: u32,
    /// Times a job may be reserved; when the last of them times out, is released or fails, the job is dead. 0: no limit.
    pub attempts_max: u32,
    /// How long a job whose time ran out or whose attempt failed waits before it is ready again: after the first
    /// attempt; twice as long after each further one.
    pub retry_delay_ms: u64,
    /// The longest of these waits.
    pub retry_delay_max_ms: u64,
    /// How far the waits are spread around that, so that jobs which failed together do not come back together.
    #[schemars(range(max = 100))]
    pub retry_jitter_percent: u32,
    /// The tube into which dead jobs go; without it they stay in this one, buried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "tube-name"))]
    pub dead_letter: Option<String>,
    /// Age of the oldest ready job beyond which the tube raises an alert. 0: none.
    pub alert_age_ms: u64,
    /// Time until ready and reserved jobs are gone beyond which the tube raises an alert, when that lasts ten seconds; a tube
    /// that only grows is beyond any. 0: none.
    pub alert_drain_ms: u64,
    /// When a change is acknowledged: `disk`, `interval:50ms`, `unsynced` or `memory`; docs/durability.md says what survives.
    pub durability: Durability,
}

impl Default for TubeConfig {
    fn default() -> TubeConfig {
        TubeConfig {
            jobs_max: 1_000_000,
            bytes_max: 2 << 30,
            age_max_ms: 0,
            when_full: WhenFull::Refuse,
            in_flight_max: 0,
            rate_per_s: 0,
            attempts_max: 0,
            retry_delay_ms: 0,
            retry_delay_max_ms: 3_600_000,
            retry_jitter_percent: 20,
            dead_letter: None,
            alert_age_ms: 0,
            alert_drain_ms: 0,
            durability: Durability::Disk,
        }
    }
}
