//! The node's part in running applications: what all sides share, the start that finds again what ran, and the handle.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use control::error::{ApiError, Kind};
use control::plane::{PlaneState, PlaneStatus};
use control::wire::InstanceRow;
use health::HealthCache;
use runtime::Cgroups;
use state::Store;
use state::instances::InstanceRecord;
use stdx::clock::SharedClock;
use stdx::ids::{ReleaseNo, Scope};
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::dependency::{Dependencies, DependencyState};
use crate::errors;
use crate::ports::Ports;
use crate::rollout::Serial;
use crate::seams::{OutputSink, Planner, Traffic};
use crate::side::{self, Message, Request};
use crate::staging::Releases;
use crate::supervise::Patience;
use crate::suspicion::Suspicions;
use crate::table::Publisher;

/// Messages that wait for a side.
const MAILBOX: usize = 64;

/// What the deploy plane is given.
pub struct Deps {
    /// The clocks.
    pub clock: SharedClock,
    /// The control store.
    pub store: Store,
    /// Reads manifests.
    pub planner: Arc<dyn Planner>,
    /// Where output goes.
    pub sink: Arc<dyn OutputSink>,
    /// Who sends requests.
    pub traffic: Arc<dyn Traffic>,
    /// `DATA/releases`.
    pub releases_folder: PathBuf,
    /// A short, private folder for the sockets of init processes.
    pub runtime_folder: PathBuf,
    /// This binary, which is run as `exe init`.
    pub exe: PathBuf,
    /// Where instances reach the queue; absent: no queue on this node.
    pub queue: Option<SocketAddr>,
    /// Where they reach its HTTP API; absent: it has no door for applications.
    pub queue_http: Option<SocketAddr>,
    /// Where instances reach the router; absent: no router on this node.
    pub router: Option<SocketAddr>,
    /// Whether instances get control groups.
    pub cgroups: Cgroups,
    /// Whether each application gets a user of its own: only root can give one.
    pub users: bool,
}

/// Why the deploy plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The control store.
    #[error(transparent)]
    State(#[from] state::StateError),
    /// A folder cannot be made.
    #[error("cannot use {}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What all sides share.
pub(crate) struct Node {
    pub(crate) clock: SharedClock,
    pub(crate) store: Store,
    pub(crate) planner: Arc<dyn Planner>,
    pub(crate) sink: Arc<dyn OutputSink>,
    pub(crate) publisher: Publisher,
    pub(crate) releases: Releases,
    pub(crate) ports: Ports,
    pub(crate) health: HealthCache<Serial>,
    pub(crate) suspicions: Suspicions,
    pub(crate) dependencies: Dependencies,
    pub(crate) status: PlaneStatus,
    pub(crate) runtime_folder: PathBuf,
    pub(crate) exe: PathBuf,
    pub(crate) queue: Option<SocketAddr>,
    pub(crate) queue_http: Option<SocketAddr>,
    pub(crate) router: Option<SocketAddr>,
    pub(crate) cgroups: Cgroups,
    pub(crate) users: bool,
    config: RwLock<Arc<Config>>,
    sides: Mutex<BTreeMap<Scope, mpsc::Sender<Message>>>,
}

/// Whether instances outlive the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// They are stopped; the next start runs them again.
    StopInstances,
    /// They run on; the next start adopts them.
    LeaveInstances,
}

/// The deploy plane. Clones are the same plane.
#[derive(Clone)]
pub struct Handle {
    pub(crate) node: Arc<Node>,
}

/// Starts the plane on the current tokio runtime: instances of an earlier node are found again, the endpoint table is
/// published, and only then does it return.
///
/// # Errors
/// When the control store cannot be read or a folder not be made.
pub async fn start(config: Config, deps: Deps) -> Result<Handle, StartError> {
    let releases_folder = deps.releases_folder;
    let releases = Releases::open(releases_folder.clone())
        .map_err(|source| StartError::Folder { path: releases_folder, source })?;
    stdx::lock::make_private_dir(&deps.runtime_folder)
        .map_err(|source| StartError::Folder { path: deps.runtime_folder.clone(), source })?;
    let node = Arc::new(Node {
        ports: Ports::new(config.port_range),
        publisher: Publisher::new(deps.traffic),
        releases,
        clock: deps.clock,
        store: deps.store,
        planner: deps.planner,
        sink: deps.sink,
        health: HealthCache::default(),
        suspicions: Suspicions::default(),
        dependencies: Dependencies::default(),
        status: PlaneStatus::running("deploy"),
        runtime_folder: deps.runtime_folder,
        exe: deps.exe,
        queue: deps.queue,
        queue_http: deps.queue_http,
        router: deps.router,
        cgroups: deps.cgroups,
        users: deps.users,
        config: RwLock::new(Arc::new(config)),
        sides: Mutex::default(),
    });
    let handle = Handle { node };
    handle.recover().await?;
    let node = &handle.node;
    tokio::spawn(node.suspicions.clone().follow(node.publisher.traffic()));
    Ok(handle)
}

impl Handle {
    /// Whether the plane runs.
    pub fn status(&self) -> PlaneStatus {
        self.node.status.clone()
    }

    /// All instances of the node, by application, process and serial.
    pub async fn rows(&self) -> Vec<InstanceRow> {
        let mut rows = Vec::new();
        for side in self.all_sides() {
            let (answer, answered) = oneshot::channel();
            if side.send(Message::Rows(answer)).await.is_ok() {
                rows.extend(answered.await.unwrap_or_default());
            }
        }
        rows
    }

    /// What the checks of the instance with this serial have found; `None` for one that is not checked.
    pub fn verdict(&self, serial: u64) -> Option<health::Verdict> {
        self.node.health.get(&serial)
    }

    /// Goes on with other settings, for what is begun from now on; those that are not in
    /// [`LIVE_KEYS`](crate::config::LIVE_KEYS) wait for the next start.
    pub fn reconfigure(&self, mut config: Config) {
        config.port_range = self.node.config().port_range;
        *self.node.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// What an application depends on, or all of them.
    pub fn dependencies(&self, of: Option<&Scope>) -> Vec<DependencyState> {
        self.node.dependencies.states(of, self.node.clock.mono())
    }

    /// Stops the plane. A change that has not switched is given up and its instances stopped; what serves is stopped or
    /// left to the next start. Returns when that is done.
    pub async fn stop(&self, instances: AtStop) {
        let mut answers = Vec::new();
        for side in self.all_sides() {
            let (answer, answered) = oneshot::channel();
            if side.send(Message::Stop(instances, answer)).await.is_ok() {
                answers.push(answered);
            }
        }
        for answered in answers {
            if answered.await.is_err() {
                tracing::debug!("a side that has failed has nothing left to stop");
            }
        }
        self.node.status.set(PlaneState::Stopped);
    }

    /// Gives a change to the side of an application.
    pub(crate) async fn request(&self, scope: &Scope, request: Request) -> Result<(), ApiError> {
        self.side(scope).send(Message::Change(request)).await.map_err(|_| errors::side_failed(scope))
    }

    /// The side of an application; begun when there is none.
    fn side(&self, scope: &Scope) -> mpsc::Sender<Message> {
        let mut sides = self.node.sides.lock().unwrap_or_else(PoisonError::into_inner);
        sides.entry(scope.clone()).or_insert_with(|| self.begin(scope.clone(), None)).clone()
    }

    fn begin(&self, scope: Scope, found: Option<side::Found>) -> mpsc::Sender<Message> {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let status = self.node.status.clone();
        let task = tokio::spawn(side::run(self.node.clone(), scope.clone(), mailbox, found));
        tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                status.fail(format!("the deploy side of {scope} panicked; its instances run on"));
            }
        });
        sender
    }

    fn all_sides(&self) -> Vec<mpsc::Sender<Message>> {
        self.node.sides.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Begins a side for each known application with what the store says of it, and waits until all have adopted.
    async fn recover(&self) -> Result<(), StartError> {
        let mut records: BTreeMap<Scope, Vec<InstanceRecord>> = BTreeMap::new();
        for record in self.node.store.instances().await? {
            if let Some(port) = record.port {
                self.node.ports.note(port);
            }
            records.entry(record.scope.clone()).or_default().push(record);
        }
        let mut adopted = Vec::new();
        for app in self.node.store.apps().await? {
            let (ready, is_ready) = oneshot::channel();
            let instances = records.remove(&app.scope).unwrap_or_default();
            let scope = app.scope.clone();
            let sender = self.begin(scope.clone(), Some(side::Found { app, instances, ready }));
            self.node.sides.lock().unwrap_or_else(PoisonError::into_inner).insert(scope, sender);
            adopted.push(is_ready);
        }
        for is_ready in adopted {
            if is_ready.await.is_err() {
                tracing::debug!("a side has failed; the plane's state says so");
            }
        }
        Ok(())
    }
}

impl Node {
    /// The user of an application; none unless the node is root.
    pub(crate) async fn uid(&self, scope: &Scope) -> Result<Option<u32>, state::StateError> {
        if self.users { self.store.uid(scope.clone()).await.map(Some) } else { Ok(None) }
    }

    /// Forgets releases beyond `releases_max` and removes sources that none refers to.
    pub(crate) async fn prune(self: &Arc<Node>, scope: &Scope, in_use: BTreeSet<ReleaseNo>) {
        if let Err(error) = self.try_prune(scope, in_use).await {
            tracing::warn!(%scope, %error, "old releases are not removed");
        }
    }

    async fn try_prune(self: &Arc<Node>, scope: &Scope, in_use: BTreeSet<ReleaseNo>) -> Result<(), state::StateError> {
        use state::releases::ReleaseState;
        let over = |state| matches!(state, ReleaseState::Retired | ReleaseState::Failed);
        let all = self.store.releases(scope.clone()).await?;
        let old = all.iter().filter(|release| over(release.state) && !in_use.contains(&release.no));
        for release in old.skip(self.config().releases_max.into()) {
            self.store.release_forget(scope.clone(), release.no).await?;
        }
        let left = self.store.releases(scope.clone()).await?;
        let wanted = left.iter().filter(|r| r.state != ReleaseState::Failed || in_use.contains(&r.no));
        let sources: BTreeSet<ReleaseNo> = wanted.map(|release| release.source).collect();
        let (releases, scope) = (self.releases.clone(), scope.clone());
        tokio::task::spawn_blocking(move || releases.sweep(&scope, &sources)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the sweep of old sources panicked");
        });
        Ok(())
    }

    /// The settings that hold now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How patient it is with instances that crash.
    pub(crate) fn patience(&self) -> Patience {
        Patience::from(&*self.config())
    }

    /// Milliseconds of the configuration as a duration.
    pub(crate) fn drain_limit(&self) -> Duration {
        Duration::from_millis(self.config().drain_timeout_ms.into())
    }
}

/// What an operation on an application that does not exist is told.
pub(crate) fn no_such_app(scope: &Scope) -> ApiError {
    ApiError::new(Kind::NotFound, "app_not_found", format!("there is no application {scope}"))
        .hint("`forebay releases` lists what is deployed; deploy it with `forebay deploy FOLDER`")
}
