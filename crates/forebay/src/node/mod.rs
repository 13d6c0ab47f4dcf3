//! A node: its planes started in the order in which they need each other, and stopped in the order in which work flows.

pub(crate) mod alone;
mod api;
mod ports;
pub(crate) mod settings;
mod stop;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::error::{ApiError, Kind};
use control::serve::{Server, bind_unix};
use stdx::clock::SystemClock;
use stdx::lock::FolderLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::ports::Ports;
use self::settings::Settings;
use self::stop::StopRequest;
use crate::output::{self, Done, Quit};
use crate::self_log::SelfLog;
use crate::wire;

/// What becomes of the instances when the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instances {
    /// They run on and the next node adopts them.
    Leave,
    /// They stop with the node, and start again with the next.
    Stop,
}

/// A running node.
pub(crate) struct Node {
    settings: Settings,
    ports: Ports,
    planes: Planes,
    admin: Admin,
    stop: StopRequest,
    _router_lock: FolderLock,
}

/// The planes' handles.
pub(crate) struct Planes {
    pub(crate) logs: logs::Handle,
    pub(crate) queue: queue::Handle,
    pub(crate) router: router::Handle,
    pub(crate) deploy: deploy::Handle,
}

/// The admin API, running.
struct Admin {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    socket: PathBuf,
}

impl Node {
    /// Starts every plane, writes `ports.json` and tells the service manager. Runs on a `LocalSet`.
    pub(crate) async fn start(settings: Settings) -> Result<Node, Quit> {
        runtime::raise_nofile();
        let data = &settings.data;
        data.create()?;
        let runtime_folder = data.runtime()?;
        let router_lock = FolderLock::take(&data.plane("router"), "forebay node").map_err(errors::lock)?;
        ports::withdraw(&data.ports_json())?;
        let self_log = SelfLog::install(&data.node_log())?;
        let stop = StopRequest::on_signals()?;
        let clock = SystemClock::shared();

        let logs = logs::start(settings.config.logs.clone(), data.plane("logs"), clock.clone()).map_err(errors::logs)?;
        wire::self_logs::connect(&self_log, &logs);
        let store = state::Store::open(&data.plane("state"), &settings.key_file).map_err(errors::state)?;
        let queue_deps = queue::Deps {
            clock: clock.clone(),
            tokens: Arc::new(wire::queue_tokens::StoredTokens::new(store.clone())),
            sink: Arc::new(wire::queue_logs::JobLog::new(logs.clone())),
        };
        let queue = queue::start(settings.config.queue.clone(), data.plane("queue"), queue_deps).map_err(errors::queue)?;
        let traffic = wire::deploy_router::Traffic::new();
        let access = Arc::new(wire::router_logs::AccessLog::new(logs.clone()));
        let router = router::start(settings.config.router.clone(), traffic.source(), access, clock.clone())
            .map_err(errors::router)?;
        traffic.connect(router.clone(), queue.clone());
        let (unix, tcp, token, admin_addrs) = settings.bind_admin(&runtime_folder).await?;
        let ports = Ports::new(router.bound(), queue.bound(), admin_addrs);
        let deploy = deploy::start(deploy::Deps {
            config: settings.config.deploy.clone(),
            store,
            releases: data.releases(),
            runtime_folder: runtime_folder.clone(),
            exe: std::env::current_exe()?,
            clock,
            planner: Arc::new(wire::deploy_config::Manifests),
            output: Arc::new(wire::deploy_logs::InstanceLog::new(logs.clone())),
            traffic: Arc::new(traffic),
            queue_addr: ports.queue.clone(),
            router_addr: ports.http.clone(),
        })
        .await
        .map_err(errors::deploy)?;
        let planes = Planes { logs, queue, router, deploy };
        let admin = Admin::start(api::routes(&planes), token, unix, tcp, runtime_folder.join("admin.sock"));
        ports.publish(&data.ports_json())?;
        crate::notify::notify("READY=1");
        Ok(Node { settings, ports, planes, admin, stop, _router_lock: router_lock })
    }
}
