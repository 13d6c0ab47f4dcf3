//! The resolved manifest: what a release stores, with every default filled in, as versioned JSON.
//!
//! A rollback starts an old release from this text and not from its `forebay.toml`, so that a Forebay that has become
//! stricter, or has other defaults, runs the release as it ran. Reading it therefore checks nothing but what the types
//! need: unknown keys are skipped, absent ones get the defaults of version 1. A higher version is refused: it may
//! carry what this Forebay would have to obey and does not know.

mod wire;

use std::collections::{BTreeMap, BTreeSet};

use crate::rules;
use control::error::{ApiError, Kind};
use deploy::DependencyConfig;
use deploy::config::ProcessConfig;
use queue::config::TubeConfig;
use queue::cron::CronConfig;
use queue::push::PushConfig;
use router::config::{RouteConfig, UpstreamPolicy};
use stdx::ids::{AppName, EnvName, ProcessName, Scope};

use crate::manifest::Manifest;

/// The version of the JSON that is written.
pub const VERSION: u32 = 1;

/// What a release runs: a manifest in one environment, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The application and environment.
    pub scope: Scope,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The environment variables of all processes.
    pub env: BTreeMap<String, String>,
    /// The secrets that it needs.
    pub secrets: BTreeSet<String>,
    /// The processes.
    pub processes: BTreeMap<ProcessName, ProcessConfig>,
    /// The routes.
    pub routes: Vec<RouteConfig>,
    /// What holds for a process's instances as endpoints.
    pub upstreams: BTreeMap<ProcessName, UpstreamPolicy>,
    /// What it depends on.
    pub dependencies: BTreeMap<String, DependencyConfig>,
    /// The tubes that have limits of their own.
    pub queues: BTreeMap<String, TubeConfig>,
    /// The tubes that are delivered as HTTP.
    pub push: BTreeMap<String, PushConfig>,
    /// The periodic jobs.
    pub cron: BTreeMap<String, CronConfig>,
}

/// Why a stored manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolvedError {
    /// Written by a newer Forebay.
    #[error("the release's manifest is of version {found}; this Forebay reads versions up to {VERSION}")]
    Newer {
        /// Its version.
        found: u64,
    },
    /// Not what a Forebay writes.
    #[error("the release's stored manifest is damaged: {0}")]
    Damaged(String),
}

impl From<ResolvedError> for ApiError {
    fn from(error: ResolvedError) -> ApiError {
        let (code, hint) = match &error {
            ResolvedError::Newer { .. } => {
                ("resolved_newer", "start the Forebay that made the release, or deploy again")
            }
            ResolvedError::Damaged(_) => ("resolved_damaged", "deploy the application again"),
        };
        ApiError::new(Kind::Failed, code, error.to_string()).hint(hint)
    }
}

impl Resolved {
    /// What a manifest means in an environment.
    pub fn new(manifest: Manifest, env: EnvName) -> Resolved {
        let Manifest {
            schema: _,
            app,
            owner,
            env: variables,
            secrets,
            processes,
            routes,
            upstreams,
            dependencies,
            queues,
            push,
            cron,
        } = manifest;
        Resolved {
            scope: Scope { app, env },
            owner,
            env: variables,
            secrets,
            processes,
            routes,
            upstreams,
            dependencies,
            queues,
            push,
            cron,
        }
    }

    /// The application.
    pub fn app(&self) -> &AppName {
        &self.scope.app
    }

    /// The processes that a route names; one of these without `health` is checked by a TCP connect to its port.
    pub fn routed(&self) -> BTreeSet<ProcessName> {
        self.routes.iter().flat_map(rules::asked).collect()
    }

    /// The versioned JSON text that a release stores.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&wire::Manifest::from(self))
            .expect("maps with text keys and plain values are JSON")
    }

    /// Reads what `to_json` wrote, in this version or an older one.
    ///
    /// # Errors
    /// When it is of a newer version or damaged.
    pub fn from_json(text: &str) -> Result<Resolved, ResolvedError> {
        let damaged = |e: serde_json::Error| ResolvedError::Damaged(e.to_string());
        let version: wire::Version = serde_json::from_str(text).map_err(damaged)?;
        if version.resolved > u64::from(VERSION) {
            return Err(ResolvedError::Newer { found: version.resolved });
        }
        let manifest: wire::Manifest = serde_json::from_str(text).map_err(damaged)?;
        Ok(Resolved::from(manifest))
    }
}
