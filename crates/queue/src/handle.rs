//! Starting the plane and talking to it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;

use control::error::ApiError;
use control::plane::{PlaneState, PlaneStatus};
use control::wire::{AlertRow, QueueRow};
use net::listen::{ListenAddr, ListenError, bind_all};
use stdx::clock::SharedClock;
use stdx::format::{self, FormatError};
use stdx::ids::Scope;
use stdx::io::{Disk, Io};
use stdx::lock::{FolderLock, LockError};
use tokio::sync::{mpsc, oneshot};

use crate::broker::{Broker, BrokerError, Opened};
use crate::config::{Config, TubeConfig};
use crate::door::{Call, Lease, unavailable};
use crate::event::{JobSink, TokenSource};
use crate::names::Namespace;
use crate::refuse;
use crate::serve::stream::Listener;
use crate::serve::{self, End, Parts};
use crate::side::{self, Boards, Side, Work};

/// The version of what the plane writes into its folder.
pub(crate) const FORMAT: u32 = 1;

/// Requests of handles that may wait for the queue's thread.
const REQUESTS_MAX: usize = 64;

/// What the plane needs of others.
pub struct Deps {
    /// Tells the time.
    pub clock: SharedClock,
    /// Knows whose token it is.
    pub tokens: Arc<dyn TokenSource>,
    /// Takes what happened to jobs.
    pub sink: Arc<dyn JobSink>,
}

/// Why the plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The protocol has neither encryption nor, for most commands, a password, so it is for this machine only.
    #[error("the queue does not listen on {0}: it can be reached from other machines, and there is no TLS yet")]
    Exposed(ListenAddr),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The unix socket cannot be listened on.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is of another format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The log cannot be read.
    #[error("the queue's log cannot be opened: {0}")]
    Log(String),
    /// The system gives no thread.
    #[error("cannot start the queue's thread: {0}")]
    Thread(#[source] io::Error),
}

impl StartError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            StartError::Exposed(_) => "queue_exposed",
            StartError::Listen(e) => e.code(),
            StartError::Socket { .. } => "socket_unusable",
            StartError::Lock(LockError::Held { .. }) => "folder_in_use",
            StartError::Lock(LockError::Io { .. }) => "folder_unusable",
            StartError::Format(e) => e.code(),
            StartError::Log(_) => "queue_log_unreadable",
            StartError::Thread(_) => "no_thread",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StartError::Exposed(_) => {
                "set queue.listen and queue.http_listen to loopback addresses such as 127.0.0.1:11300"
            }
            StartError::Listen(_) => "another process may hold the port; stop it, or set queue.listen",
            StartError::Socket { .. } => "another process may serve it; stop it, or name another path",
            StartError::Lock(_) => "stop the other process, or name another folder with --data",
            StartError::Format(e) => e.hint(),
            StartError::Log(_) => "look at the disk; nothing in the folder was changed",
            StartError::Thread(_) => "raise the limit of processes or free memory",
        }
    }
}

impl From<BrokerError> for StartError {
    fn from(e: BrokerError) -> StartError {
        StartError::Log(e.to_string())
    }
}

/// What a handle asks of the queue's thread.
pub(crate) enum Request {
    Rows(oneshot::Sender<Vec<QueueRow>>),
    Configure(Scope, BTreeMap<String, TubeConfig>),
    Limits(Box<Config>),
    Drain(bool),
    Door(Box<Call>),
    GiveBack(Namespace, Vec<Lease>),
    Stop(oneshot::Sender<()>),
}

/// The running plane. When the last handle is dropped the plane stops.
#[derive(Clone)]
pub struct Handle {
    bound: Arc<[SocketAddr]>,
    status: PlaneStatus,
    pub(crate) requests: mpsc::Sender<Request>,
    recovery: Arc<wal::Report>,
    job_bytes_max: u32,
    http_bound: Arc<[SocketAddr]>,
    boards: Boards,
    /// Absent in what the second thread has itself: it must not keep itself alive.
    side: Option<Arc<Side>>,
}

/// Starts the queue with its state in `folder` and serves the beanstalkd protocol on `config.listen`.
///
/// # Errors
/// [`StartError`]; then nothing runs and nothing is locked.
pub fn start(config: Config, folder: PathBuf, deps: Deps) -> Result<Handle, StartError> {
    start_on(Disk, config, folder, deps)
}

/// As [`start`], on a disk of the caller's: slowed down, failing, or in memory.
///
/// # Errors
/// As [`start`].
pub fn start_on<D: Io>(io: D, config: Config, folder: PathBuf, deps: Deps) -> Result<Handle, StartError> {
    for addr in config.listen.iter().chain(&config.http_listen) {
        if !addr.is_loopback()? {
            return Err(StartError::Exposed(addr.clone()));
        }
    }
    let lock = FolderLock::take(&folder, "forebay queue")?;
    open_folder(&io, &folder)?;
    let (listen, unix_socket) = (config.listen.clone(), config.unix_socket.clone());
    let (job_bytes_max, tokens, clock) = (config.job_bytes_max, Arc::clone(&deps.tokens), deps.clock.clone());
    let sink = Arc::clone(&deps.sink);
    let settings = config.clone();
    let opened = Broker::open(io, config, &folder, deps.tokens, deps.sink)?;
    let Opened { broker, committer, report } = opened;
    for damage in &report.damage {
        tracing::error!(%damage, "the queue's log is damaged; jobs are missing");
    }
    let bound = bind_all(&listen, 1)?;
    let addrs: Arc<[SocketAddr]> = bound.iter().map(|one| one.addr).collect();
    let mut listeners: Vec<Listener> = bound.into_iter().flat_map(|one| one.sockets).map(Listener::Tcp).collect();
    if let Some(path) = unix_socket {
        let bound = Listener::bind_unix(&path).map_err(|source| StartError::Socket { path, source })?;
        listeners.push(bound);
    }

    let http = bind_all(&settings.http_listen, 1)?;
    let http_bound = http.iter().map(|one| one.addr).collect();

    let (requests, taken) = mpsc::channel(REQUESTS_MAX);
    let status = PlaneStatus::running("queue");
    let parts = Parts { broker, committer, listeners, clock: deps.clock, status: status.clone(), requests: taken };
    let spawned = Builder::new().name("queue".into()).spawn(move || run(parts, lock));
    spawned.map_err(StartError::Thread)?;
    let recovery = Arc::new(report);
    let inner = Handle {
        bound: addrs,
        status,
        requests,
        recovery,
        job_bytes_max,
        http_bound,
        boards: Boards::default(),
        side: None,
    };
    let listeners = http.into_iter().flat_map(|one| one.sockets).collect();
    let side = side::start(inner.clone(), &settings, listeners, tokens, sink, clock).map_err(StartError::Thread)?;
    Ok(Handle { side: Some(Arc::new(side)), ..inner })
}

/// There is no older format than the first, so only `Fresh` and `Same` come.
fn open_folder<D: Io>(io: &D, folder: &Path) -> Result<(), FormatError> {
    io.create_dir(folder).map_err(|source| FormatError::Io { folder: folder.to_path_buf(), source })?;
    format::open(io, folder, "queue", FORMAT).map(|_| ())
}

/// The queue's thread. If it panics, the sockets stay and every client is told INTERNAL_ERROR, until the plane is stopped.
fn run<D: Io>(parts: Parts<D>, lock: FolderLock) {
    let status = parts.status.clone();
    let spare: Vec<Listener> = parts.listeners.iter().filter_map(|listener| listener.try_clone().ok()).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return status.fail(format!("the queue has no event loop: {cause}")),
    };
    let served = catch_unwind(AssertUnwindSafe(|| runtime.block_on(serve::serve(parts))));
    let (end, requests) = match served {
        Ok((end, requests)) => (end, Some(requests)),
        Err(panic) => (End::Panicked(serve::payload_text(&*panic)), None),
    };
    let stopped = match end {
        End::Stopped(done) => done,
        End::Panicked(text) => {
            status.fail(format!("the queue's thread panicked: {text}"));
            requests.and_then(|requests| runtime.block_on(refuse::serve(spare, requests)))
        }
    };
    status.set(PlaneState::Stopped);
    drop(lock);
    if let Some(done) = stopped
        && done.send(()).is_err()
    {
        tracing::debug!("whoever stopped the queue did not wait for it");
    }
}

impl Handle {
    /// The addresses that clients can connect to.
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.bound.to_vec()
    }

    /// The addresses of the HTTP door.
    pub fn http_bound(&self) -> Vec<SocketAddr> {
        self.http_bound.to_vec()
    }

    /// From now on this is what works on the tubes of the namespace: deliveries by HTTP and periodic jobs. Those of before
    /// end, with what they have under way.
    pub fn employ(&self, namespace: Namespace, work: Work) {
        if let Some(side) = &self.side {
            side.employ(namespace, work);
        }
    }

    /// Whether the plane runs.
    pub fn status(&self) -> PlaneStatus {
        self.status.clone()
    }

    /// What opening the log found: damage, what was cut.
    pub fn recovery(&self) -> &wal::Report {
        &self.recovery
    }

    /// Bytes that a job's body may have.
    pub fn job_bytes_max(&self) -> u32 {
        self.job_bytes_max
    }

    /// One row per tube, by namespace and name.
    ///
    /// # Errors
    /// `queue_unavailable` when the plane has failed or was stopped.
    pub async fn rows(&self) -> Result<Vec<QueueRow>, ApiError> {
        if self.status.is_failed() {
            return Err(unavailable());
        }
        let (to, rows) = oneshot::channel();
        self.ask(Request::Rows(to)).await?;
        let mut rows = rows.await.map_err(|_| unavailable())?;
        self.boards.fill_in(&mut rows);
        Ok(rows)
    }

    /// The alerts that are raised now; a tube's `alert_age_ms` and `alert_drain_ms` say when one is.
    pub fn alerts(&self) -> Vec<AlertRow> {
        self.boards.alerts()
    }

    pub(crate) fn boards(&self) -> &Boards {
        &self.boards
    }

    /// Takes over what a manifest says of the tubes of an application; tubes that it does not name get the plane's
    /// defaults.
    ///
    /// # Errors
    /// `queue_unavailable` when the plane has failed or was stopped.
    pub async fn configure(&self, scope: Scope, tubes: BTreeMap<String, TubeConfig>) -> Result<(), ApiError> {
        self.ask(Request::Configure(scope, tubes)).await
    }

    /// Takes over the limits of jobs, bytes and tubes of a configuration that was read again; its addresses, folders and
    /// buffers count only at a start.
    ///
    /// # Errors
    /// `queue_unavailable` when the plane has failed or was stopped.
    pub async fn set_limits(&self, config: Config) -> Result<(), ApiError> {
        self.ask(Request::Limits(Box::new(config))).await
    }

    /// While draining, `put` is answered DRAINING and everything else goes on (USR1).
    ///
    /// # Errors
    /// `queue_unavailable` when the plane has failed or was stopped.
    pub async fn drain_mode(&self, draining: bool) -> Result<(), ApiError> {
        self.ask(Request::Drain(draining)).await
    }

    /// Puts everything on disk, closes all connections, and returns when the folder is free again. A plane that does not
    /// run is content.
    pub async fn stop(&self) {
        if let Some(side) = &self.side {
            side.stop().await;
        }
        let (done, stopped) = oneshot::channel();
        if self.requests.send(Request::Stop(done)).await.is_ok() && stopped.await.is_err() {
            tracing::warn!("the queue's thread ended without a word");
        }
    }

    pub(crate) async fn ask(&self, request: Request) -> Result<(), ApiError> {
        self.requests.send(request).await.map_err(|_| unavailable())
    }
}
