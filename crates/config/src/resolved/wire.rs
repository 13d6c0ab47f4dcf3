//! Version 1 of the stored JSON. These structs are the format: a key may be added with a default, none may change.
//!
//! The defaults here are what version 1 meant when it was written; they stay when the manifest's own defaults change.

mod routes;
mod tries;
mod tube;

mod work;

use std::collections::{BTreeMap, BTreeSet};

use deploy::DependencyConfig;
use deploy::config::{HealthConfig, ProcessConfig, ProcessLimits};
use router::config::RouteConfig;
use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName, ProcessName, Scope};

use self::routes::{Route, Upstream};
use self::tube::Tube;
use super::{Resolved, VERSION};

/// What every version has.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) resolved: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    resolved: u32,
    app: AppName,
    environment: EnvName,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeSet<String>,
    #[serde(default)]
    processes: BTreeMap<ProcessName, Process>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    upstreams: BTreeMap<ProcessName, Upstream>,
    /// Stored as they were written, with all of their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dependencies: BTreeMap<String, DependencyConfig>,
    #[serde(default)]
    queues: BTreeMap<String, Tube>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    push: BTreeMap<String, work::Push>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cron: BTreeMap<String, work::Cron>,
}

#[derive(Serialize, Deserialize)]
struct Process {
    command: String,
    #[serde(default = "one")]
    instances: u16,
    #[serde(default)]
    health: Option<Health>,
    #[serde(default = "stop_timeout_ms")]
    stop_timeout_ms: u32,
    #[serde(default = "stdout_block_ms")]
    stdout_block_ms: u32,
    #[serde(default)]
    secrets_env: Vec<String>,
    #[serde(default)]
    limits: Limits,
}

fn one() -> u16 {
    1
}

fn stop_timeout_ms() -> u32 {
    10_000
}

fn stdout_block_ms() -> u32 {
    250
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Health {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,
    interval_ms: u32,
    timeout_ms: u32,
    rise: u16,
    fall: u16,
    unhealthy_restart_after_ms: u32,
}

impl Default for Health {
    fn default() -> Health {
        Health {
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

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Limits {
    memory_bytes_max: u64,
    pids_max: u32,
    open_files_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes_max: 512 << 20, pids_max: 256, open_files_max: 4_096 }
    }
}

impl From<&Resolved> for Manifest {
    fn from(from: &Resolved) -> Manifest {
        Manifest {
            resolved: VERSION,
            app: from.scope.app.clone(),
            environment: from.scope.env.clone(),
            owner: from.owner.clone(),
            env: from.env.clone(),
            secrets: from.secrets.clone(),
            processes: from.processes.iter().map(|(name, process)| (name.clone(), process.into())).collect(),
            routes: from.routes.iter().map(Route::from).collect(),
            upstreams: from.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.into())).collect(),
            dependencies: from.dependencies.clone(),
            queues: from.queues.iter().map(|(name, tube)| (name.clone(), tube.into())).collect(),
            push: from.push.iter().map(|(tube, push)| (tube.clone(), push.into())).collect(),
            cron: from.cron.iter().map(|(name, cron)| (name.clone(), cron.into())).collect(),
        }
    }
}

impl From<Manifest> for Resolved {
    fn from(from: Manifest) -> Resolved {
        Resolved {
            scope: Scope { app: from.app, env: from.environment },
            owner: from.owner,
            env: from.env,
            secrets: from.secrets,
            processes: from.processes.into_iter().map(|(name, process)| (name, process.into())).collect(),
            routes: from.routes.into_iter().map(RouteConfig::from).collect(),
            upstreams: from.upstreams.into_iter().map(|(name, upstream)| (name, upstream.into())).collect(),
            dependencies: from.dependencies,
            queues: from.queues.into_iter().map(|(name, tube)| (name, tube.into())).collect(),
            push: from.push.into_iter().map(|(tube, push)| (tube, push.into())).collect(),
            cron: from.cron.into_iter().map(|(name, cron)| (name, cron.into())).collect(),
        }
    }
}

impl From<&ProcessConfig> for Process {
    fn from(from: &ProcessConfig) -> Process {
        let ProcessConfig { command, instances, health, stop_timeout_ms, stdout_block_ms, secrets_env, limits } = from;
        let ProcessLimits { memory_bytes_max, pids_max, open_files_max } = *limits;
        Process {
            command: command.clone(),
            instances: *instances,
            health: health.as_ref().map(Health::from),
            stop_timeout_ms: *stop_timeout_ms,
            stdout_block_ms: *stdout_block_ms,
            secrets_env: secrets_env.clone(),
            limits: Limits { memory_bytes_max, pids_max, open_files_max },
        }
    }
}

impl From<Process> for ProcessConfig {
    fn from(from: Process) -> ProcessConfig {
        let Limits { memory_bytes_max, pids_max, open_files_max } = from.limits;
        ProcessConfig {
            command: from.command,
            instances: from.instances,
            health: from.health.map(HealthConfig::from),
            stop_timeout_ms: from.stop_timeout_ms,
            stdout_block_ms: from.stdout_block_ms,
            secrets_env: from.secrets_env,
            limits: ProcessLimits { memory_bytes_max, pids_max, open_files_max },
        }
    }
}

impl From<&HealthConfig> for Health {
    fn from(from: &HealthConfig) -> Health {
        let HealthConfig { path, grpc, interval_ms, timeout_ms, rise, fall, unhealthy_restart_after_ms } = from.clone();
        Health { path, grpc, interval_ms, timeout_ms, rise, fall, unhealthy_restart_after_ms }
    }
}

impl From<Health> for HealthConfig {
    fn from(from: Health) -> HealthConfig {
        let Health { path, grpc, interval_ms, timeout_ms, rise, fall, unhealthy_restart_after_ms } = from;
        HealthConfig { path, grpc, interval_ms, timeout_ms, rise, fall, unhealthy_restart_after_ms }
    }
}
