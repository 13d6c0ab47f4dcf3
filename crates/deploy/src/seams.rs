//! What deploy needs of others; the binary wires them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use control::error::ApiError;
use health::{Health, Position};
use runtime::Output;
use stdx::ids::{AppName, InstanceId, ProcessName, ReleaseNo, Scope};

use crate::config::ProcessConfig;
use crate::dependency::DependencyConfig;

/// A future behind a trait object.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an application wants, read from its source.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub app: AppName,
    /// Whom to ask about it.
    pub owner: Option<String>,
    /// Its processes.
    pub processes: BTreeMap<ProcessName, ProcessConfig>,
    /// The processes that speak HTTP/2, by prior knowledge.
    pub http2: BTreeSet<ProcessName>,
    /// The processes that routes name: they get a port, traffic and a health check.
    pub routed: BTreeSet<ProcessName>,
    /// What it depends on, by name.
    pub dependencies: BTreeMap<String, DependencyConfig>,
    /// `[env]`: variables for all processes.
    pub env: BTreeMap<String, String>,
    /// Secrets that must be set before it can run; whatever else is set is given too.
    pub secrets: BTreeSet<String>,
    /// The version of `resolved`.
    pub resolved_schema: u32,
    /// The resolved manifest, JSON; opaque here, kept with the release and handed on in the endpoint table.
    pub resolved: String,
}

/// Reads manifests. Blocking calls, made off the control thread.
pub trait Planner: Send + Sync + 'static {
    /// Reads `forebay.toml` or `Procfile` in `folder`, a folder whose own name says nothing: the application is `app`.
    ///
    /// # Errors
    /// What is wrong with it, with file and line; also that it is another application's.
    fn plan(&self, folder: &Path, app: &AppName) -> Result<Plan, ApiError>;

    /// Reads a resolved manifest back, of this version or an older one.
    ///
    /// # Errors
    /// When it is of a newer version or damaged.
    fn restore(&self, resolved: &str) -> Result<Plan, ApiError>;
}

/// Whose output it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The application and its environment.
    pub scope: Scope,
    /// The instance.
    pub instance: InstanceId,
    /// The release that it runs.
    pub release: ReleaseNo,
}

/// What the output store says to lines that it does not take now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It is behind and catches up; they are offered again, and the instance's output may wait for its
    /// `stdout_block_ms`.
    #[error("the log store is behind: {0}")]
    Busy(String),
    /// Its disk is full; they are offered again, and output is not held up: nobody knows for how long.
    #[error("the log store is full: {0}")]
    Full(String),
    /// It has failed; output is not held up for it.
    #[error("the log store has failed: {0}")]
    Failed(String),
}

/// Where the output of instances goes.
pub trait OutputSink: Send + Sync + 'static {
    /// Stores lines; `Ok` means that they are on disk.
    fn ingest(&self, from: Arc<Speaker>, lines: Vec<Output>) -> Wait<'_, Result<(), SinkError>>;

    /// The number of the last line of an instance that is on disk, so that an adopted one's are not stored twice.
    fn last_seq(&self, from: Arc<Speaker>) -> Wait<'_, Option<u64>>;
}

/// One instance as the router sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The process that it is of.
    pub process: ProcessName,
    /// The instance.
    pub instance: InstanceId,
    /// The release that it runs.
    pub release: ReleaseNo,
    /// Where it listens.
    pub addr: SocketAddr,
    /// What its checks say; unknown until it has been healthy once.
    pub health: Health,
    /// Whether it finishes what it has and gets no more.
    pub draining: bool,
}

/// The endpoints of one application, and the manifest that they were started with: routes and endpoints change together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTable {
    /// The serving release.
    pub release: ReleaseNo,
    /// Its resolved manifest.
    pub resolved: Arc<str>,
    /// Its instances that listen, and those of earlier releases that still drain.
    pub endpoints: Vec<Endpoint>,
}

/// All endpoints of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointTable {
    /// By application and environment.
    pub scopes: BTreeMap<Scope, ScopeTable>,
}

/// Who sends requests to instances.
pub trait Traffic: Send + Sync + 'static {
    /// Replaces the table; returns at once.
    fn publish(&self, table: Arc<EndpointTable>);
    /// Waits until no request is sent by an older table.
    fn applied(&self) -> Wait<'_, ()>;
    /// Takes what a health check has told about the copies of databases at `addr`.
    fn positions(&self, addr: SocketAddr, positions: &Arc<[Position]>);
    /// Waits until requests had trouble with instances, and tells where those listen.
    fn suspected(&self) -> Wait<'_, Vec<SocketAddr>>;
    /// Waits until nothing is in flight to `addrs`; false when that is not so within `limit`.
    fn drained(&self, addrs: Vec<SocketAddr>, limit: Duration) -> Wait<'_, bool>;
}
