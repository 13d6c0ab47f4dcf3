//! The data folder of a router that runs alone.

use std::path::Path;

use control::error::ApiError;
use net::listen::ListenAddr;
use net::sockets::Sockets;
use router::Overrides;
use stdx::lock::FolderLock;

use crate::node::admin::{self, Doors};
use crate::node::errors;
use crate::output::Quit;
use crate::paths::DataDir;
use crate::self_log::SelfLog;
use crate::upgrade::Heir;

/// The folder that is locked.
pub(super) const LOCK: &str = "router";

/// The data folder of a router that runs alone.
pub(super) struct Folder {
    pub(super) data: DataDir,
    pub(super) lock: FolderLock,
}

impl Folder {
    /// Makes it, takes it, and keeps the router's own log there.
    pub(super) fn take(path: &Path, heir: &mut Heir) -> Result<Folder, Quit> {
        let data = DataDir::new(path.to_path_buf());
        data.create_for_one()?;
        let lock = heir.lock(&data.plane(LOCK), LOCK, "forebay router serve").map_err(|error| errors::lock(&error))?;
        SelfLog::install(&data.node_log())?;
        Ok(Folder { data, lock })
    }

    pub(super) fn overrides(&self) -> Result<Overrides, ApiError> {
        Overrides::open(&self.data.plane("router")).map_err(|error| errors::overrides(&error, &self.data))
    }

    /// Opens the admin API's doors.
    pub(super) fn doors(&self, sockets: &Sockets, listen: &[ListenAddr]) -> Result<Doors, Quit> {
        let socket = self.data.runtime()?.join("admin.sock");
        Ok(admin::doors(sockets, &socket, listen, &self.data, "--admin".into())?)
    }
}
