//! What a node runs with: flags, environment, node.toml, defaults.

use config::NodeConfig;
use config::node::Flags;
use control::error::{ApiError, Kind};
use net::listen::{ListenAddr, ListenError};

use crate::args::{Global, ListenFlags};
use crate::output::{self, Quit};
use crate::paths::DataDir;

/// The configuration, and the data folder that it names.
pub(crate) struct Settings {
    pub(crate) config: NodeConfig,
    pub(crate) data: DataDir,
    pub(super) flags: Flags,
}

/// Reads everything that has a say, and passes on what the user should know.
pub(crate) fn load(global: &Global, listen: &ListenFlags) -> Result<Settings, Quit> {
    let settings = read_all(global, listen)?;
    for note in &settings.config.notes {
        output::progress(&format!("note: {note}"));
    }
    Ok(settings)
}

/// The same for a verb that only wants to find the node.
pub(crate) fn load_quietly(global: &Global) -> Result<Settings, ApiError> {
    read_all(global, &ListenFlags::default())
}

fn read_all(global: &Global, listen: &ListenFlags) -> Result<Settings, ApiError> {
    let flags = Flags {
        config: listen.config.clone(),
        data: global.data.clone(),
        http: listen.http.clone(),
        https: listen.https.clone(),
        queue: listen.queue.clone(),
        admin: listen.admin.clone(),
    };
    let config = read(flags.clone())?;
    Ok(Settings { data: DataDir::new(config.data.clone()), config, flags })
}

/// Reads the configuration for these flags, at the start and again on HUP.
pub(super) fn read(flags: Flags) -> Result<NodeConfig, ApiError> {
    let root = rustix::process::geteuid().is_root();
    Ok(NodeConfig::load(config::node::environment(), flags, root)?)
}

/// Where the queue listens when nobody says.
pub(crate) fn default_queue_addr() -> Result<ListenAddr, ApiError> {
    "127.0.0.1:11300".parse().map_err(|e: ListenError| ApiError::new(Kind::Failed, e.code(), e.to_string()))
}
