//! Deploy reads manifests through the configuration.

use std::collections::BTreeSet;
use std::path::Path;

use config::{Manifest, Resolved};
use control::error::ApiError;
use deploy::{Plan, Planner};
use router::config::Protocol;
use stdx::ids::{AppName, EnvName, ProcessName};

/// `forebay.toml` and `Procfile`.
pub(crate) struct Manifests;

impl Planner for Manifests {
    fn plan(&self, folder: &Path, app: &AppName) -> Result<Plan, ApiError> {
        let loaded = Manifest::load_as(folder, Some(app))?;
        Ok(plan(Resolved::new(loaded.manifest, EnvName::production())))
    }

    fn restore(&self, resolved: &str) -> Result<Plan, ApiError> {
        Ok(plan(Resolved::from_json(resolved)?))
    }
}

fn http2(resolved: &Resolved) -> BTreeSet<ProcessName> {
    let speak = resolved.upstreams.iter().filter(|(_, upstream)| upstream.protocol == Protocol::H2c);
    speak.map(|(process, _)| process.clone()).collect()
}

fn plan(resolved: Resolved) -> Plan {
    Plan {
        app: resolved.app().clone(),
        owner: resolved.owner.clone(),
        routed: resolved.routed(),
        resolved_schema: config::resolved::VERSION,
        resolved: resolved.to_json(),
        http2: http2(&resolved),
        processes: resolved.processes,
        dependencies: resolved.dependencies,
        env: resolved.env,
        secrets: resolved.secrets,
    }
}
