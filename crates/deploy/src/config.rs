//! What the deploy plane can be told: `[deploy]` of `node.toml` and `[processes.NAME]` of a manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The deploy plane's own settings and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Releases kept per application and environment, the serving one not counted.
    #[schemars(range(min = 1, max = 1_000))]
    pub releases_max: u16,
    /// Bytes of a release's source, unpacked.
    #[schemars(range(min = 1))]
    pub source_bytes_max: u64,
    /// Files and folders of a release's source.
    #[schemars(range(min = 1))]
    pub source_files_max: u32,
    /// Instances on this node.
    #[schemars(range(min = 1, max = 10_000))]
    pub instances_max: u32,
    /// Time for a release's instances to become healthy; beyond it the release fails.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub healthy_timeout_ms: u32,
    /// Time for what is in flight to an old instance to finish after a switch; then it is stopped all the same.
    pub drain_timeout_ms: u32,
    /// Ports given to instances, first and last.
    pub port_range: (u16, u16),
    /// Wait before the first restart of a crashed instance; it doubles from crash to crash.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub restart_backoff_ms: u32,
    /// The longest wait between two restarts.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub restart_backoff_max_ms: u32,
    /// Crashes within ten minutes after which `ps` says `crash-loop`.
    #[schemars(range(min = 1))]
    pub crash_loop_after: u16,
    /// An instance that ran this long is forgiven its earlier crashes.
    pub forgiven_after_ms: u32,
}

/// The keys that [`Handle::reconfigure`](crate::Handle::reconfigure) applies; the others count at a start.
pub const LIVE_KEYS: [&str; 10] = [
    "releases_max",
    "source_bytes_max",
    "source_files_max",
    "instances_max",
    "healthy_timeout_ms",
    "drain_timeout_ms",
    "restart_backoff_ms",
    "restart_backoff_max_ms",
    "crash_loop_after",
    "forgiven_after_ms",
];

impl Default for Config {
    fn default() -> Config {
        Config {
            releases_max: 5,
            source_bytes_max: 512 << 20,
            source_files_max: 50_000,
            instances_max: 200,
            healthy_timeout_ms: 30_000,
            drain_timeout_ms: 30_000,
            port_range: (20_000, 29_999),
            restart_backoff_ms: 200,
            restart_backoff_max_ms: 30_000,
            crash_loop_after: 5,
            forgiven_after_ms: 60_000,
        }
    }
}

/// One `[processes.NAME]` of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// The command line; run by `/bin/sh -c` as `exec COMMAND` in the release's folder.
    #[schemars(length(min = 1, max = 16_384))]
    pub command: String,
    /// How many run side by side; `forebay scale` overrides it.
    #[serde(default = "one")]
    #[schemars(range(max = 100))]
    pub instances: u16,
    /// How to tell that an instance can take requests; absent for a process that no route names.
    #[serde(default)]
    pub health: Option<HealthConfig>,
    /// From SIGTERM to SIGKILL.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub stop_timeout_ms: u32,
    /// How long a full log store may hold up the process's output before lines are dropped and counted.
    #[serde(default = "quarter_second")]
    #[schemars(range(max = 60_000))]
    pub stdout_block_ms: u32,
    /// Secrets that are also put into the environment; all others are only files in `FOREBAY_SECRETS`.
    #[serde(default)]
    #[schemars(extend("maxItems" = 64))]
    pub secrets_env: Vec<String>,
    /// Resource limits.
    #[serde(default)]
    pub limits: ProcessLimits,
}

fn one() -> u16 {
    1
}

fn ten_seconds() -> u32 {
    10_000
}

fn quarter_second() -> u32 {
    250
}

/// How an instance's health is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// The path that answers 200 to 399 when the instance can take requests.
    #[schemars(extend("format" = "url-path"))]
    pub path: String,
    /// The service that says it serves by the health protocol of gRPC (`grpc.health.v1`), in place of `path`; empty: the
    /// server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub grpc: Option<String>,
    /// Time from one check to the next, jittered by a tenth.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub interval_ms: u32,
    /// Time for one check's answer.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub timeout_ms: u32,
    /// Good checks in a row that make an instance healthy.
    #[schemars(range(min = 1, max = 100))]
    pub rise: u16,
    /// Bad checks in a row that make it unhealthy.
    #[schemars(range(min = 1, max = 100))]
    pub fall: u16,
    /// An instance that was unhealthy this long without a break is restarted; 0: never.
    #[schemars(range(max = 86_400_000))]
    pub unhealthy_restart_after_ms: u32,
}

impl Default for HealthConfig {
    fn default() -> HealthConfig {
        HealthConfig {
            path: "/".into(),
            grpc: None,
            interval_ms: 1_000,
            timeout_ms: 1_000,
            rise: 1,
            fall: 3,
            unhealthy_restart_after_ms: 60_000,
        }
    }
}

/// What one instance may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessLimits {
    /// Memory, where a cgroup can be had.
    #[schemars(range(min = 4_194_304))]
    pub memory_bytes_max: u64,
    /// Processes and threads, where a cgroup can be had.
    #[schemars(range(min = 2))]
    pub pids_max: u32,
    /// Open files.
    #[schemars(range(min = 16))]
    pub open_files_max: u32,
}

impl Default for ProcessLimits {
    fn default() -> ProcessLimits {
        ProcessLimits { memory_bytes_max: 512 << 20, pids_max: 256, open_files_max: 4_096 }
    }
}
