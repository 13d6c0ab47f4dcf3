//! What a node runs with: flags, environment, node.toml, defaults; and the admin API's doors that follow from it.

use std::net::SocketAddr;

use config::NodeConfig;
use config::node::Flags;
use control::auth::AdminToken;
use control::error::{ApiError, Kind};
use net::listen::bind_all;
use tokio::net::TcpListener;

use super::errors;
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

/// The admin API's TCP sockets, its token, and what was bound.
pub(crate) struct AdminDoors {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) token: AdminToken,
    pub(crate) addrs: Vec<SocketAddr>,
}

impl Settings {
    /// Binds the admin API's addresses and makes its token where there is none.
    pub(crate) fn admin_doors(&self) -> Result<AdminDoors, ApiError> {
        let at = self.config.origins.admin.at("admin.listen");
        let bound = bind_all(&self.config.admin.listen, 1).map_err(|error| errors::listen(&error, at))?;
        let token = AdminToken::load_or_create(&self.data.admin_token()).map_err(|error| {
            ApiError::new(Kind::Failed, "admin_token_unusable", format!("cannot use the admin token: {error}"))
                .at(self.data.admin_token().display().to_string())
                .hint("remove the file, and the next start makes a new token")
        })?;
        let addrs = bound.iter().map(|bound| bound.addr).collect();
        let tcp = bound
            .into_iter()
            .flat_map(|bound| bound.sockets)
            .map(TcpListener::from_std)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ApiError::new(Kind::Failed, "listen_failed", error.to_string()))?;
        Ok(AdminDoors { tcp, token, addrs })
    }
}
