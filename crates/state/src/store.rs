//! The door to the store: one thread owns the connection, everybody else sends it calls.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use stdx::format;
use stdx::io::Disk;
use stdx::lock::FolderLock;
use tokio::sync::oneshot;

use crate::key::KeyRing;
use crate::migrate::{self, FORMAT, MIGRATIONS};
use crate::tokens::TokenIndex;
use crate::{StateError, row::Outcome};

/// Calls that may wait for the writer; beyond it `state_busy`.
const CALLS_MAX: usize = 1_024;

type Call = Box<dyn FnOnce(&mut Db) + Send>;

/// The control store. Clones share one writer thread, which ends when the last is dropped.
#[derive(Clone)]
pub struct Store {
    calls: SyncSender<Call>,
    pub(crate) tokens: Arc<RwLock<TokenIndex>>,
}

/// What the writer thread owns.
pub(crate) struct Db {
    pub(crate) conn: Connection,
    pub(crate) keys: KeyRing,
    pub(crate) tokens: Arc<RwLock<TokenIndex>>,
    _lock: FolderLock,
}

impl Store {
    /// Opens `folder` (made when it is missing), migrates it where it is of the version before, and starts the writer
    /// thread. The key for secrets is in `key_file`; it is read, or made, when the first secret is.
    ///
    /// # Errors
    /// When another process has the folder, when it is of a newer or much older format, when it is damaged, or when
    /// the disk fails.
    pub fn open(folder: &Path, key_file: &Path) -> Result<Store, StateError> {
        let lock = FolderLock::take(folder, "forebay node")?;
        let found = format::open(&Disk, folder, "state", FORMAT)?;
        let path = folder.join("state.db");
        let mut conn = connect(&path)?;
        migrate::run(&mut conn, &path, MIGRATIONS)?;
        if matches!(found, format::Found::Older(_)) {
            format::write(&Disk, folder, "state", FORMAT)?;
        }
        let tokens = Arc::new(RwLock::new(TokenIndex::load(&conn)?));
        let db = Db { conn, keys: KeyRing::new(key_file.to_path_buf()), tokens: tokens.clone(), _lock: lock };
        let (calls, waiting) = sync_channel(CALLS_MAX);
        thread::Builder::new()
            .name("state".into())
            .spawn(move || serve(db, &waiting))
            .map_err(|source| StateError::Io { path: folder.to_path_buf(), source })?;
        Ok(Store { calls, tokens })
    }

    /// Runs `work` on the writer thread and waits for its answer.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |db| {
            if answer.send(work(db)).is_err() {
                tracing::debug!("nobody waits for a state call any more");
            }
        });
        match self.calls.try_send(call) {
            Ok(()) => answered.await.map_err(|_| StateError::Stopped)?,
            Err(TrySendError::Full(_)) => Err(StateError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(StateError::Stopped),
        }
    }
}

fn serve(mut db: Db, calls: &Receiver<Call>) {
    while let Ok(call) = calls.recv() {
        call(&mut db);
    }
}

fn connect(path: &PathBuf) -> Outcome<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StateError::Corrupt(format!("{} does not take the WAL mode, it stays {mode}", path.display())));
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "secure_delete", true)?;
    let said: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(StateError::Corrupt(said));
    }
    Ok(conn)
}
