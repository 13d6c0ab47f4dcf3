//! What lies where: the data folder, and the short runtime folder for sockets and secrets that it names.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use control::error::{ApiError, Kind};
use stdx::io::{Disk, replace_file};
use stdx::lock::make_private_dir;

/// A unix socket's path may have 107 bytes; what is below the runtime folder needs up to 30 of them.
const RUNTIME_PATH_BYTES_MAX: usize = 70;

/// The data folder of a node.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: PathBuf) -> DataDir {
        DataDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A plane's own folder.
    pub(crate) fn plane(&self, plane: &str) -> PathBuf {
        self.0.join(plane)
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.0.join("releases")
    }

    pub(crate) fn ports_json(&self) -> PathBuf {
        self.0.join("ports.json")
    }

    /// What was bound last; stays when the node has stopped.
    pub(crate) fn last_ports_json(&self) -> PathBuf {
        self.0.join("ports.last.json")
    }

    pub(crate) fn node_log(&self) -> PathBuf {
        self.0.join("node.log")
    }

    pub(crate) fn admin_token(&self) -> PathBuf {
        self.0.join("admin.token")
    }

    /// The node's admin socket, where one was ever started on this data folder.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        match fs::read_to_string(self.0.join("runtime")) {
            Ok(folder) => Path::new(folder.trim()).join("admin.sock"),
            Err(_) => self.0.join("no-node-was-started-here"),
        }
    }

    /// Makes the folder of a node, 0711 so that applications reach their releases and nothing else.
    pub(crate) fn create(&self) -> Result<(), ApiError> {
        self.make(&[self.path(), &self.releases()], 0o711)
    }

    /// Makes the folder of a plane that runs alone and has no applications.
    pub(crate) fn create_for_one(&self) -> Result<(), ApiError> {
        self.make(&[self.path()], 0o700)
    }

    fn make(&self, folders: &[&Path], mode: u32) -> Result<(), ApiError> {
        let failed = |e: io::Error| {
            ApiError::new(Kind::Failed, "data_folder_unusable", format!("cannot use the data folder: {e}"))
                .at(self.0.display().to_string())
                .hint("name a folder that you may write with --data")
        };
        folders.iter().try_for_each(|folder| {
            fs::create_dir_all(folder).map_err(failed)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).map_err(failed)
        })
    }

    /// The runtime folder: the one recorded in DATA, so that a restarted node finds its instances' sockets, or a new one
    /// in memory with a short path.
    pub(crate) fn runtime(&self) -> Result<PathBuf, ApiError> {
        let failed = |e: io::Error| {
            ApiError::new(Kind::Failed, "runtime_folder_unusable", format!("cannot make the runtime folder: {e}"))
                .hint("set XDG_RUNTIME_DIR to a short folder that is yours alone")
        };
        let record = self.0.join("runtime");
        if let Ok(text) = fs::read_to_string(&record) {
            let folder = PathBuf::from(text.trim());
            make_runtime_folder(&folder).map_err(failed)?;
            return Ok(folder);
        }
        let folder = choose_runtime_folder(&self.0);
        if folder.as_os_str().len() > RUNTIME_PATH_BYTES_MAX {
            return Err(failed(io::Error::other(format!("{} is too long for sockets", folder.display()))));
        }
        make_runtime_folder(&folder).map_err(failed)?;
        replace_file(&Disk, &record, folder.as_os_str().as_encoded_bytes()).map_err(failed)?;
        Ok(folder)
    }
}

/// `/run/forebay-<hash>` as root, else below XDG_RUNTIME_DIR, else below /tmp; the hash is that of the data folder's path.
fn choose_runtime_folder(data: &Path) -> PathBuf {
    let path = fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf());
    let hash = short_hash(path.as_os_str().as_encoded_bytes());
    let uid = rustix::process::geteuid();
    if uid.is_root() && Path::new("/run").is_dir() {
        return PathBuf::from(format!("/run/forebay-{hash:08x}"));
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute() && dir.is_dir());
    match base {
        Some(base) => base.join(format!("forebay-{hash:08x}")),
        None => PathBuf::from(format!("/tmp/forebay-{}-{hash:08x}", uid.as_raw())),
    }
}

/// FNV-1a: a short, stable name for a path, no secret.
fn short_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A folder that is ours and that nobody else may list or write; as root others may pass through it to their secrets.
fn make_runtime_folder(folder: &Path) -> io::Result<()> {
    make_private_dir(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} belongs to somebody else", folder.display())));
    }
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}
