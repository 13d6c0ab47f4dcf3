//! A node with fakes around it. Instances are small Python programs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use control::error::{ApiError, ErrorBody, Kind};
use control::wire::{InstanceRow, Listing, Progress, ReleaseRow};
use deploy::config::{Config, HealthConfig, ProcessConfig};
use deploy::source::{Source, SourceLimits};
use deploy::{
    AtStop, DependencyConfig, Deps, EndpointTable, Handle, OutputSink, Plan, Planner, SinkError, Speaker, Traffic, Wait,
};
use health::{Health, Position};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use runtime::{Cgroups, Output};
use serde::de::DeserializeOwned;
use state::Store;
use stdx::clock::SystemClock;
use stdx::ids::{AppName, ProcessName};
use tower::ServiceExt;

/// Answers `/up` with 200 and everything else with its release and pid.
pub(crate) const WEB: &str = r#"
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ['FOREBAY_RELEASE']} {os.getpid()}".encode()
        self.send_response(200); self.send_header("content-length", len(body)); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// The manifest of these tests: one line for each process, `name count routed|worker command`, and what follows
/// about it: `stop name ms`, `block name ms`, `interval name ms`.
struct Lines;

impl Lines {
    fn read(text: &str) -> Result<Plan, ApiError> {
        let mut plan = Plan {
            app: AppName::new("shop").unwrap(),
            owner: Some("team-shop".into()),
            processes: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            routed: BTreeSet::new(),
            http2: BTreeSet::new(),
            env: BTreeMap::new(),
            secrets: BTreeSet::new(),
            resolved_schema: 1,
            resolved: text.into(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["env", name, value] => drop(plan.env.insert(name.into(), value.into())),
                ["secret", name] => drop(plan.secrets.insert(name.into())),
                ["stop", name, ms] => Lines::known(&mut plan, name).stop_timeout_ms = ms.parse().unwrap(),
                ["depends", name, at] => {
                    let dependency =
                        DependencyConfig { tcp: Some(at.into()), interval_ms: 100, fall: 1, ..Default::default() };
                    plan.dependencies.insert(name.into(), dependency);
                }
                ["counts", name, command] => {
                    let command = command.replace('_', " ");
                    let dependency =
                        DependencyConfig { command: Some(command), interval_ms: 100, ..Default::default() };
                    plan.dependencies.insert(name.into(), dependency);
                }
                ["interval", name, ms] => {
                    let health = Lines::known(&mut plan, name).health.as_mut();
                    health.unwrap().interval_ms = ms.parse().unwrap();
                }
                ["patience", name, ms] => {
                    let health = Lines::known(&mut plan, name).health.as_mut();
                    health.unwrap().unhealthy_restart_after_ms = ms.parse().unwrap();
                }
                ["block", name, ms] => Lines::known(&mut plan, name).stdout_block_ms = ms.parse().unwrap(),
                [name, count, kind, command] => Lines::process(&mut plan, name, count, kind, command),
                _ => return Err(ApiError::new(Kind::Usage, "manifest_malformed", format!("cannot read `{line}`"))),
            }
        }
        Ok(plan)
    }

    /// The process of an earlier line.
    fn known<'a>(plan: &'a mut Plan, name: &str) -> &'a mut ProcessConfig {
        plan.processes.get_mut(&ProcessName::new(name).unwrap()).unwrap()
    }

    fn process(plan: &mut Plan, name: &str, count: &str, kind: &str, command: &str) {
        let name = ProcessName::new(name).unwrap();
        let health = HealthConfig {
            path: "/up".into(),
            grpc: None,
            interval_ms: 100,
            timeout_ms: 2_000,
            rise: 1,
            fall: 2,
            unhealthy_restart_after_ms: 1_000,
        };
        let process = ProcessConfig {
            command: command.into(),
            instances: count.parse().unwrap(),
            health: (kind == "routed").then_some(health),
            stop_timeout_ms: 3_000,
            stdout_block_ms: 250,
            secrets_env: Vec::new(),
            limits: Default::default(),
        };
        if kind == "routed" {
            plan.routed.insert(name.clone());
        }
        plan.processes.insert(name, process);
    }
}

impl Planner for Lines {
    fn plan(&self, folder: &Path, _: &AppName) -> Result<Plan, ApiError> {
        let text = std::fs::read_to_string(folder.join("plan"))
            .map_err(|_| ApiError::new(Kind::Usage, "manifest_missing", "there is no plan"))?;
        Lines::read(&text)
    }

    fn restore(&self, resolved: &str) -> Result<Plan, ApiError> {
        Lines::read(resolved)
    }
}

/// Remembers every published table.
#[derive(Default)]
pub(crate) struct Router {
    tables: Mutex<Vec<Arc<EndpointTable>>>,
    positions: Mutex<BTreeMap<SocketAddr, Arc<[Position]>>>,
    suspects: Mutex<Vec<SocketAddr>>,
    some: tokio::sync::Notify,
}

impl Traffic for Router {
    fn publish(&self, table: Arc<EndpointTable>) {
        self.tables.lock().unwrap().push(table);
    }
    fn applied(&self) -> Wait<'_, ()> {
        Box::pin(async {})
    }
    fn positions(&self, addr: SocketAddr, positions: &Arc<[Position]>) {
        self.positions.lock().unwrap().insert(addr, Arc::clone(positions));
    }
    fn suspected(&self) -> Wait<'_, Vec<SocketAddr>> {
        Box::pin(async {
            loop {
                let suspects = std::mem::take(&mut *self.suspects.lock().unwrap());
                if !suspects.is_empty() {
                    return suspects;
                }
                self.some.notified().await;
            }
        })
    }
    fn drained(&self, _: Vec<SocketAddr>, _: Duration) -> Wait<'_, bool> {
        Box::pin(async { true })
    }
}

impl Router {
    /// Where requests would go by the newest table.
    pub(crate) fn targets(&self) -> Vec<SocketAddr> {
        let tables = self.tables.lock().unwrap();
        let endpoints = tables.last().into_iter().flat_map(|t| t.scopes.values()).flat_map(|s| &s.endpoints);
        endpoints.filter(|e| e.health == Health::Healthy && !e.draining).map(|e| e.addr).collect()
    }

    /// The health of all endpoints by the newest table.
    pub(crate) fn healths(&self) -> Vec<Health> {
        let tables = self.tables.lock().unwrap();
        let endpoints = tables.last().into_iter().flat_map(|t| t.scopes.values()).flat_map(|s| &s.endpoints);
        endpoints.map(|e| e.health).collect()
    }

    /// Says that a request to `addr` got no reply.
    pub(crate) fn suspect(&self, addr: SocketAddr) {
        self.suspects.lock().unwrap().push(addr);
        self.some.notify_one();
    }

    /// What it was told about the copies of databases at `addr`.
    pub(crate) fn positions(&self, addr: SocketAddr) -> Vec<String> {
        let positions = self.positions.lock().unwrap();
        positions.get(&addr).iter().flat_map(|all| all.iter()).map(ToString::to_string).collect()
    }

    /// The fewest targets that any table since the first with one has had.
    pub(crate) fn fewest_targets(&self) -> usize {
        let tables = self.tables.lock().unwrap();
        let counts = tables.iter().map(|table| {
            let endpoints = table.scopes.values().flat_map(|s| &s.endpoints);
            endpoints.filter(|e| e.health == Health::Healthy && !e.draining).count()
        });
        counts.skip_while(|n| *n == 0).min().unwrap_or(0)
    }
}

/// Keeps what instances have said, with the number of each line.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<(String, u64, String)>>,
    dropped: AtomicU64,
    trouble: Mutex<Option<SinkError>>,
}

impl OutputSink for Log {
    fn ingest(&self, from: Arc<Speaker>, lines: Vec<Output>) -> Wait<'_, Result<(), SinkError>> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Box::pin(async { Err(trouble) });
        }
        let mut kept = self.lines.lock().unwrap();
        for line in lines {
            match line {
                Output::Line(line) => {
                    kept.push((from.instance.to_string(), line.seq, String::from_utf8_lossy(&line.bytes).into()));
                }
                Output::Dropped(dropped) => drop(self.dropped.fetch_add(dropped.lines, Ordering::Relaxed)),
            }
        }
        Box::pin(async { Ok(()) })
    }
    fn last_seq(&self, from: Arc<Speaker>) -> Wait<'_, Option<u64>> {
        let instance = from.instance.to_string();
        let last = self.lines.lock().unwrap().iter().filter(|l| l.0 == instance).map(|l| l.1).max();
        Box::pin(async move { last })
    }
}

impl Log {
    /// From now on the store answers so; `None`: it takes everything.
    pub(crate) fn answers(&self, trouble: Option<SinkError>) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// Lines that were said to be dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, _, line)| line.clone()).collect()
    }
}

pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) router: Arc<Router>,
    pub(crate) log: Arc<Log>,
    pub(crate) config: Config,
    pub(crate) users: bool,
    node: Option<(Handle, axum::Router)>,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        Rig::with(Config { healthy_timeout_ms: 20_000, ..Config::default() }).await
    }

    pub(crate) async fn with(config: Config) -> Rig {
        let mut rig = Rig {
            dir: tempfile::tempdir().unwrap(),
            router: Arc::default(),
            log: Arc::default(),
            config: Config { port_range: ports(), restart_backoff_ms: 50, ..config },
            users: false,
            node: None,
        };
        rig.start().await;
        rig
    }

    /// The control store, as soon as the node before has let go of it.
    pub(crate) async fn store(&self) -> Store {
        loop {
            match Store::open(&self.dir.path().join("data/state"), &self.dir.path().join("key")) {
                Err(state::StateError::Locked(_)) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }

    pub(crate) async fn start(&mut self) {
        let store = self.store().await;
        self.router = Arc::default();
        let deps = Deps {
            clock: SystemClock::shared(),
            store,
            planner: Arc::new(Lines),
            sink: self.log.clone(),
            traffic: self.router.clone(),
            releases_folder: self.dir.path().join("data/releases"),
            runtime_folder: self.dir.path().join("run"),
            exe: init(),
            queue: Some("127.0.0.1:11300".parse().unwrap()),
            queue_http: None,
            router: Some("127.0.0.1:8080".parse().unwrap()),
            cgroups: Cgroups::Off,
            users: self.users,
        };
        let handle = deploy::start(self.config.clone(), deps).await.unwrap();
        self.node = Some((handle.clone(), deploy::admin::routes(handle)));
    }

    pub(crate) fn node(&self) -> &(Handle, axum::Router) {
        self.node.as_ref().expect("the node runs")
    }

    pub(crate) async fn stop(&mut self, at_stop: AtStop) {
        let (handle, _) = self.node.take().expect("the node runs");
        handle.stop(at_stop).await;
    }

    /// Lets go of a node that was killed.
    pub(crate) fn killed(&mut self) {
        self.node = None;
    }

    /// A source with a plan and files.
    pub(crate) fn source(&self, plan: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = tempfile::Builder::new().prefix("source").tempdir_in(self.dir.path()).unwrap().keep();
        std::fs::write(folder.join("plan"), plan).unwrap();
        for (path, content) in files {
            std::fs::write(folder.join(path), content).unwrap();
        }
        folder
    }

    pub(crate) async fn deploy(&self, folder: &Path) -> Result<Vec<Progress>, ApiError> {
        self.deploy_as(folder, "/v1/deploys?app=shop").await
    }

    pub(crate) async fn deploy_as(&self, folder: &Path, path: &str) -> Result<Vec<Progress>, ApiError> {
        let limits = SourceLimits::from(&self.config);
        let source = Source::scan(folder, limits, &[]).map_err(ApiError::from)?;
        self.change(path, Body::from_stream(source.stream())).await
    }

    /// Sends a source, waits for the answer's head and reads nothing of it.
    pub(crate) async fn deploy_and_hang_up(&self, folder: &Path) {
        let source = Source::scan(folder, SourceLimits::from(&self.config), &[]).unwrap();
        let body = Body::from_stream(source.stream());
        let request = Request::builder().method(Method::POST).uri("/v1/deploys?app=shop").body(body).unwrap();
        let reply = self.node().1.clone().oneshot(request).await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
    }

    /// A change and all that it says; one that fails is its error.
    pub(crate) async fn change(&self, path: &str, body: Body) -> Result<Vec<Progress>, ApiError> {
        let text = self.call(Method::POST, path, body).await?;
        let lines: Vec<Progress> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        match lines.last() {
            Some(Progress::Failed { error }) => Err(error.clone()),
            Some(Progress::Done { .. }) => Ok(lines),
            other => panic!("a change ends with done or failed, not with {other:?}"),
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Body) -> Result<String, ApiError> {
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        let reply = self.node().1.clone().oneshot(request).await.unwrap();
        let status = reply.status();
        let bytes = reply.into_body().collect().await.unwrap().to_bytes();
        if status == StatusCode::OK {
            return Ok(String::from_utf8(bytes.to_vec()).unwrap());
        }
        let error = serde_json::from_slice::<ErrorBody>(&bytes).expect("an error has a body").error;
        assert_eq!(error.kind.status(), status);
        Err(error)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_str(&self.call(Method::GET, path, Body::empty()).await.unwrap()).unwrap()
    }

    pub(crate) async fn ps(&self) -> Vec<InstanceRow> {
        self.get::<Listing<InstanceRow>>("/v1/instances").await.items
    }

    /// The process ids of a process type's running instances.
    pub(crate) async fn pids(&self, process: &str) -> BTreeSet<u32> {
        let rows = self.ps().await;
        rows.iter().filter(|row| row.process.as_str() == process && row.state == "running").map(|row| row.pid).collect()
    }

    /// `number state`, newest first.
    pub(crate) async fn releases(&self) -> Vec<String> {
        let rows: Listing<ReleaseRow> = self.get("/v1/releases?app=shop").await;
        rows.items.iter().map(|row| format!("{} {}", row.release, row.state)).collect()
    }

    /// Waits until `is` holds of the rows.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&[InstanceRow]) -> bool) -> Vec<InstanceRow> {
        self.until_within(Duration::from_secs(30), what, is).await
    }

    /// The same where init's patience counts.
    pub(crate) async fn until_long(&self, what: &str, is: impl Fn(&[InstanceRow]) -> bool) -> Vec<InstanceRow> {
        self.until_within(Duration::from_secs(90), what, is).await
    }

    /// Waits until `is` holds of anything.
    pub(crate) async fn until_so(&self, what: &str, is: impl Fn(&Rig) -> bool) {
        let begun = std::time::Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_within(&self, limit: Duration, what: &str, is: impl Fn(&[InstanceRow]) -> bool) -> Vec<InstanceRow> {
        let begun = std::time::Instant::now();
        loop {
            let rows = self.ps().await;
            if is(&rows) {
                return rows;
            }
            assert!(begun.elapsed() < limit, "not in {limit:?}: {what}; there is {rows:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What an instance answers.
    pub(crate) async fn ask(&self, addr: SocketAddr) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text.rsplit("\r\n").next().unwrap_or_default().to_string()
    }
}

impl Drop for Rig {
    /// No process outlives its test, even one that fails.
    fn drop(&mut self) {
        let Ok(entries) = std::fs::read_dir("/proc") else { return };
        let mine = format!("{}", self.dir.path().display());
        for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            if folder.starts_with(&mine)
                && let Some(pid) = rustix::process::Pid::from_raw(pid)
            {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
    }
}

/// Whether a process has ended; one that nobody has reaped yet has.
pub(crate) fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

pub(crate) async fn until_gone(pid: u32) {
    let begun = std::time::Instant::now();
    while !is_gone(pid) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{pid} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The parent of a process: an instance's is its init.
pub(crate) fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap()
}

/// The example that cargo builds with the tests.
fn init() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    deps.parent().and_then(Path::parent).unwrap().join("examples/deploy_init")
}

/// Tests run beside each other, each in its own process or thread: each takes another part of the range.
fn ports() -> (u16, u16) {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 90).unwrap();
    let part = (own + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) % 100;
    (20_000 + part * 100, 20_000 + part * 100 + 99)
}
