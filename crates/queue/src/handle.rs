//! Starting the plane and talking to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;

use control::error::ApiError;
use control::plane::{PlaneState, PlaneStatus};
use control::wire::{AlertRow, QueueRow};
use net::sockets::Sockets;
use net::tls::{CertificateConfig, TlsError};
use stdx::clock::SharedClock;
use stdx::format::{self, FormatError};
use stdx::ids::Scope;
use stdx::io::{Disk, Io};
use stdx::lock::FolderLock;
use tokio::sync::{mpsc, oneshot};

use crate::broker::{Broker, Opened};
use crate::config::{Config, TubeConfig};
use crate::door::{Call, Lease, unavailable};
use crate::doors::{Bound, Doors};
use crate::event::{JobSink, TokenSource};
use crate::names::Namespace;
use crate::refuse;
use crate::serve::stream::Listener;
use crate::serve::{self, End, Parts};
use crate::side::{self, Boards, Side, Work};
use crate::start_error::StartError;
use crate::tls::Tls;

/// The version of what the plane writes into its folder.
pub const FORMAT: u32 = 1;

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
    /// The process's listening sockets.
    pub sockets: Sockets,
}

/// What the HTTP door's addresses are listened on for.
pub(crate) const HTTP: &str = "queue-http";

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
    tls_bound: Arc<[SocketAddr]>,
    tls: Option<Arc<Tls>>,
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
    let doors = Doors::check(&config, deps.tokens.has_any())?;
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
    let sockets = deps.sockets;
    let Bound { listeners, plain, tls: tls_bound, unlocks } = doors.bind(&sockets, &listen, unix_socket)?;

    let http = sockets.bind_all(HTTP, &settings.http_listen, 1)?;
    let http_bound = http.iter().map(|one| one.addr).collect();

    let (requests, taken) = mpsc::channel(REQUESTS_MAX);
    let status = PlaneStatus::running("queue");
    let tls = unlocks.clone();
    let parts = Parts { broker, committer, listeners, tls, clock: deps.clock, status: status.clone(), requests: taken };
    let spare: Vec<_> = parts.listeners.iter().filter_map(|listener| listener.try_clone().ok()).map(Arc::new).collect();
    spare.iter().for_each(|listener| sockets.keep(listener.name(), listener));
    let spawned = Builder::new().name("queue".into()).spawn(move || run(parts, spare, lock));
    spawned.map_err(StartError::Thread)?;
    let recovery = Arc::new(report);
    let inner = Handle {
        bound: plain,
        tls_bound,
        tls: unlocks,
        status,
        requests,
        recovery,
        job_bytes_max,
        http_bound,
        boards: Boards::default(),
        side: None,
    };
    let listeners = http.into_iter().flat_map(|one| one.sockets).collect();
    let doors = (listeners, sockets);
    let side = side::start(inner.clone(), &settings, doors, tokens, sink, clock).map_err(StartError::Thread)?;
    Ok(Handle { side: Some(Arc::new(side)), ..inner })
}

/// Whether a queue could begin with these settings, as far as that is known without its folder and addresses. Reads files.
///
/// # Errors
/// As [`start`].
pub fn check(config: &Config) -> Result<(), StartError> {
    // Whether there are tokens the folder of the node tells; those who serve with them see to it.
    Doors::check(config, true).map(drop)
}

/// There is no older format than the first, so only `Fresh` and `Same` come.
fn open_folder<D: Io>(io: &D, folder: &Path) -> Result<(), FormatError> {
    io.create_dir(folder).map_err(|source| FormatError::Io { folder: folder.to_path_buf(), source })?;
    format::open(io, folder, "queue", FORMAT).map(|_| ())
}

/// The queue's thread. If it panics, the sockets stay and every client is told INTERNAL_ERROR, until the plane is stopped.
fn run<D: Io>(parts: Parts<D>, spare: Vec<Arc<Listener>>, lock: FolderLock) {
    let status = parts.status.clone();
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
            let spare = spare.into_iter().filter_map(Arc::into_inner).collect();
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

    /// The addresses that clients can connect to with TLS.
    pub fn bound_tls(&self) -> Vec<SocketAddr> {
        self.tls_bound.to_vec()
    }

    /// Serves with these certificates from the next handshake on. Reads files.
    ///
    /// # Errors
    /// When one cannot be used: what was in use stays in use. Without a listener for them nothing is read.
    pub fn replace_certificates(&self, certificates: &[CertificateConfig]) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.certificates.replace(certificates))
    }

    /// Reads the certificates again if a file of theirs has changed; whether one had. Reads files.
    ///
    /// # Errors
    /// When one cannot be used: what was in use stays in use. That is said once for each change.
    pub fn refresh_certificates(&self) -> Result<bool, TlsError> {
        self.tls.as_ref().map_or(Ok(false), |tls| tls.certificates.refresh())
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
