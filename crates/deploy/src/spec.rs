//! From a release and a place in it to what the runtime is asked to run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use runtime::{Limits, Spec};
use state::{Sensitive, StateError};
use stdx::ids::{ProcessName, ReleaseNo};

use crate::config::ProcessConfig;
use crate::environ::{self, About};
use crate::node::Node;
use crate::run::Ending;
use crate::seams::{Plan, Speaker};

/// All that the instances of one release have in common.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) release: ReleaseNo,
    pub(crate) folder: PathBuf,
    pub(crate) plan: Plan,
    pub(crate) resolved: Arc<str>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, u32>,
}

impl Blueprint {
    pub(crate) fn process(&self, name: &ProcessName) -> Option<&ProcessConfig> {
        self.plan.processes.get(name)
    }

    /// Whether requests go to the process.
    pub(crate) fn is_routed(&self, name: &ProcessName) -> bool {
        self.plan.routed.contains(name)
    }

    /// Whether it is given a port: it is routed, or asked for its health.
    pub(crate) fn needs_port(&self, name: &ProcessName) -> bool {
        self.is_routed(name) || self.process(name).is_some_and(|process| process.health.is_some())
    }
}

/// One instance that is wanted.
pub(crate) struct Wanted {
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) port: Option<u16>,
    pub(crate) uid: Option<u32>,
    pub(crate) socket: PathBuf,
}

impl Wanted {
    /// Fetches secrets and token, and writes the order for the runtime.
    pub(crate) async fn spec(self, node: &Node, speaker: &Speaker) -> Result<Spec, Ending> {
        let blueprint = &self.blueprint;
        let name = &speaker.instance.process;
        let process = blueprint.process(name).ok_or_else(|| Ending {
            code: "instance_not_started",
            text: format!("release {} has no process {name}", blueprint.release),
        })?;
        let scope = speaker.scope.clone();
        let secrets =
            node.store.secret_values(scope.clone(), blueprint.secrets.clone()).await.map_err(|e| not_started(&e))?;
        let token = match node.queue {
            Some(addr) => {
                let token = node.store.queue_token(scope, node.clock.wall()).await.map_err(|e| not_started(&e))?;
                Some((addr, token))
            }
            None => None,
        };
        let about = About {
            scope: &speaker.scope,
            instance: &speaker.instance,
            release: blueprint.release,
            port: self.port,
            folder: &blueprint.folder,
            queue: token.as_ref().map(|(addr, token)| (*addr, token)),
            queue_http: node.queue_http,
            router: node.router,
        };
        let inherited = |name: &str| std::env::var_os(name).filter(|_| environ::is_shared(name, node.users));
        let mut env = environ::variables(&about, blueprint.config.iter(), inherited);
        env.extend(secret_variables(process, &secrets));
        Ok(Spec {
            scope: speaker.scope.clone(),
            instance: speaker.instance.clone(),
            release: blueprint.release,
            command: process.command.clone(),
            folder: blueprint.folder.clone(),
            env,
            secrets: secrets.iter().map(|(key, value)| (key.clone(), value.expose().to_vec())).collect(),
            secrets_folder: node.runtime_folder.join(format!("{}.secrets", speaker.instance.serial)),
            uid: self.uid,
            limits: limits(process),
            cgroups: node.cgroups,
            stdout_block_ms: process.stdout_block_ms,
            stop_timeout_ms: process.stop_timeout_ms,
            socket: self.socket,
        })
    }
}

/// Secrets that the manifest asks for as variables.
fn secret_variables(
    process: &ProcessConfig,
    secrets: &BTreeMap<String, Sensitive>,
) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    use std::os::unix::ffi::OsStringExt;
    let wanted = process.secrets_env.iter().filter_map(|key| secrets.get_key_value(key));
    wanted.map(|(key, value)| (key.into(), std::ffi::OsString::from_vec(value.expose().to_vec()))).collect()
}

fn limits(process: &ProcessConfig) -> Limits {
    Limits {
        memory_bytes_max: Some(process.limits.memory_bytes_max),
        pids_max: Some(process.limits.pids_max),
        open_files_max: Some(process.limits.open_files_max),
        ..Limits::default()
    }
}

fn not_started(error: &StateError) -> Ending {
    Ending { code: error.code(), text: error.to_string() }
}
