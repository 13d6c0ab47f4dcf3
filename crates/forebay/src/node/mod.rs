//! A node: its planes started in the order in which they need each other, and stopped in the order in which work flows.

mod access_file;
mod admin;
pub(crate) mod alone;
mod api;
mod certificates;
mod connectors;
mod errors;
mod metrics;
mod ports;
mod reload;
pub(crate) mod router_alone;
pub(crate) mod settings;
mod stop;
pub(crate) mod succession;
pub(crate) mod token_file;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deploy::AtStop;
use net::sockets::Sockets;
use router::Overrides;
use runtime::Cgroups;
use stdx::clock::SystemClock;
use stdx::lock::FolderLock;
use tokio::signal::unix::{SignalKind, signal};

use self::admin::Admin;
use self::ports::{AllPorts, Ports};
use self::settings::Settings;
use self::stop::StopRequest;
use crate::output::{self, Done, Quit};
use crate::self_log::SelfLog;
use crate::upgrade::{self, Upgrades};
use crate::wire;

/// A running node.
pub(crate) struct Node {
    settings: Settings,
    ports: Ports,
    planes: Planes,
    admin: Admin,
    control: Control,
    asking: Option<acme::Running>,
    _router_lock: FolderLock,
}

/// Who tells a process what to do, and what it may become.
pub(crate) struct Control {
    pub(crate) stop: StopRequest,
    pub(crate) upgrades: Upgrades,
    /// What it was handed.
    pub(crate) sockets: Sockets,
}

impl Control {
    /// Listens for signals from now on. Runs on a `LocalSet`.
    pub(crate) fn new(upgrades: Upgrades, sockets: Sockets) -> io::Result<Control> {
        // Whoever listens comes later. A program that took the place of another began with these ignored, and would hand that
        // on to the instances that it starts meanwhile.
        for kind in [SignalKind::hangup(), SignalKind::user_defined1()] {
            drop(signal(kind)?);
        }
        Ok(Control { stop: StopRequest::on_signals()?, upgrades, sockets })
    }
}

/// The planes' handles. Clones are the same planes.
#[derive(Clone)]
pub(crate) struct Planes {
    pub(crate) logs: logs::Handle,
    pub(crate) queue: queue::Handle,
    pub(crate) router: router::Handle,
    pub(crate) deploy: deploy::Handle,
}

impl Node {
    /// Starts every plane, writes `ports.json` and tells the service manager. Runs on a `LocalSet`.
    pub(crate) async fn start(mut settings: Settings, control: Control) -> Result<Node, Quit> {
        let data = &settings.data;
        data.create()?;
        let router_lock = FolderLock::take(&data.plane("router"), "forebay node").map_err(|e| errors::lock(&e))?;
        ports::withdraw(&data.ports_json())?;
        let self_log = SelfLog::install(&data.node_log())?;
        if let Err(error) = runtime::raise_nofile() {
            tracing::warn!(%error, "the limit of open files stays as it was");
        }
        let runtime_folder = data.runtime()?;
        let written = settings.config.clone();
        if let Some(last) = Ports::read(&data.last_ports_json()) {
            ports::stay(&mut settings.config.router.listen, &last.all.http);
            ports::stay(&mut settings.config.router.tls.listen, &last.all.https);
            ports::stay(&mut settings.config.queue.listen, &last.all.queue);
            ports::stay(&mut settings.config.queue.tls.listen, &last.all.queue_tls);
        }
        let data = &settings.data;
        let (planes, admin, ports) = start_planes(&settings, &self_log, runtime_folder, &control).await?;
        control.sockets.close_rest();
        stdx::lock::let_go_of_the_rest();
        ports.publish(&data.last_ports_json())?;
        ports.publish(&data.ports_json())?;
        crate::notify::notify("READY=1");
        tracing::info!(
            http = ports.http,
            https = ports.https,
            queue = ports.queue,
            admin = ports.admin,
            "the node is ready"
        );
        let asking = certificates::obtain(&planes.router)?;
        let node = Node { settings, ports, planes, admin, control, asking, _router_lock: router_lock };
        reload::drain_on_usr1(node.planes.queue.clone())?;
        reload::reload_on_hup(node.settings.flags.clone(), written, node.planes.clone())?;
        certificates::follow_files(&node.planes.router, &node.planes.queue);
        Ok(node)
    }

    /// Says on stderr where everything is.
    pub(crate) fn print_ports(&self) {
        let list = |addrs: &[SocketAddr]| addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let all = &self.ports.all;
        let or_none = |text: String| if text.is_empty() { "only on the socket".to_string() } else { text };
        output::progress(&format!("http   {}", list(&all.http)));
        if !all.https.is_empty() {
            output::progress(&format!("https  {}", list(&all.https)));
        }
        output::progress(&format!("queue  {}", list(&all.queue)));
        if !all.queue_tls.is_empty() {
            output::progress(&format!("queue  {} with TLS", list(&all.queue_tls)));
        }
        if !all.queue_http.is_empty() {
            output::progress(&format!("queue  http://{}", list(&all.queue_http)));
        }
        output::progress(&format!("admin  {}", or_none(list(&all.admin))));
        output::progress(&format!("data   {}", self.settings.data.path().display()));
    }

    /// Asks the node to stop, as a signal does.
    pub(crate) fn request_stop(&self) {
        self.control.stop.ask();
    }

    /// Waits until somebody wants the node to stop.
    pub(crate) async fn stop_requested(&self) {
        self.control.stop.asked().await;
    }

    /// Runs until somebody wants it to stop, then drains: no new requests, those in flight finish within their limit,
    /// instances stop or are left, and what the queue and the logs were given is on disk.
    pub(crate) async fn until_stopped(self, instances: AtStop) -> Done {
        self.control.stop.asked().await;
        crate::notify::notify("STOPPING=1");
        let limit = self.planes.router.drain_limit();
        self.seal(limit, instances).await
    }

    /// Ends everything in the order in which work flows; requests in flight have `limit`.
    async fn seal(self, limit: Duration, instances: AtStop) -> Done {
        ports::withdraw(&self.settings.data.ports_json())?;
        drop(self.asking);
        self.planes.router.drain(limit).await;
        self.planes.deploy.stop(instances).await;
        self.admin.stop().await;
        self.planes.queue.stop().await;
        self.planes.logs.stop().await;
        Ok(())
    }
}

/// Starts the planes in the order in which they need each other, and the admin API over all of them.
async fn start_planes(
    settings: &Settings,
    self_log: &SelfLog,
    runtime_folder: PathBuf,
    control: &Control,
) -> Result<(Planes, Admin, Ports), Quit> {
    let (config, data, clock) = (&settings.config, &settings.data, SystemClock::shared());
    let logs = logs::start(config.logs.clone(), data.plane("logs"), clock.clone()).map_err(errors::logs)?;
    wire::self_logs::connect(self_log, &logs);
    let store = state::Store::open(&data.plane("state"), &config.key_file).map_err(errors::state)?;
    let queue = start_queue(settings, control, &store, &logs)?;
    say_damage(&queue);
    let traffic = wire::deploy_router::Traffic::new();
    let access = Arc::new(wire::router_logs::AccessLog::start(wire::router_logs::into_logs(logs.clone()))?);
    let overrides = Overrides::open(&data.plane("router")).map_err(|error| errors::overrides(&error, data))?;
    let verdicts = wire::deploy_health::Verdicts::default();
    let deps = router::Deps {
        source: traffic.source(),
        sink: access,
        clock: clock.clone(),
        overrides,
        health: Arc::new(verdicts.clone()),
        data: Some(data.plane("router")),
        sockets: control.sockets.clone(),
        keys_wait: false,
        closed: true,
    };
    let router =
        router::start(config.router.clone(), deps).map_err(|error| errors::router(error, &config.origins.http))?;
    traffic.connect(router.clone(), queue.clone());
    let socket = runtime_folder.join("admin.sock");
    let doors =
        admin::doors(&control.sockets, &socket, &config.admin.listen, data, config.origins.admin.at("admin.listen"))?;
    let ports = ports_of(&router, &queue, &doors.addrs);
    // An ordinary user may make neither users nor control groups; `ps` then says `isolation: none`.
    let root = rustix::process::geteuid().is_root();
    let deps = deploy::Deps {
        clock,
        store,
        planner: Arc::new(wire::deploy_config::Manifests),
        sink: Arc::new(wire::deploy_logs::InstanceLog(logs.clone())),
        traffic: Arc::new(traffic),
        releases_folder: data.releases(),
        runtime_folder: runtime_folder.clone(),
        exe: std::env::current_exe()?,
        queue: reachable(&queue.bound()),
        queue_http: reachable(&queue.http_bound()),
        router: reachable(&router.bound()),
        cgroups: if root { Cgroups::WhereAllowed } else { Cgroups::Off },
        users: root,
    };
    let deploy = deploy::start(config.deploy.clone(), deps).await.map_err(errors::deploy)?;
    verdicts.connect(deploy.clone());
    // Before this nothing is known of applications that an earlier node has left.
    router.open();
    let planes = Planes { logs, queue, router, deploy };
    let admin = Admin::start(api::routes(&planes).merge(upgrade::admin::routes(control.upgrades.clone())), doors);
    Ok((planes, admin, ports))
}

fn start_queue(
    settings: &Settings,
    control: &Control,
    store: &state::Store,
    logs: &logs::Handle,
) -> Result<queue::Handle, Quit> {
    let (config, data) = (&settings.config, &settings.data);
    let deps = queue::Deps {
        clock: SystemClock::shared(),
        tokens: Arc::new(wire::queue_tokens::StoredTokens(store.clone())),
        sink: Arc::new(wire::queue_logs::JobLog(logs.clone())),
        sockets: control.sockets.clone(),
    };
    let queue = queue::start(config.queue.clone(), data.plane("queue"), deps);
    Ok(queue.map_err(|error| errors::queue(error, &config.origins.queue))?)
}

fn ports_of(router: &router::Handle, queue: &queue::Handle, admin: &[SocketAddr]) -> Ports {
    let (http, https) = (router.bound(), router.bound_tls());
    Ports::new(AllPorts { http, https, admin: admin.to_vec(), ..AllPorts::default() }, queue)
}

fn say_damage(queue: &queue::Handle) {
    for damage in &queue.recovery().damage {
        tracing::error!(%damage, "the queue's log is damaged; what lies around it is served");
    }
}

/// Where instances on this machine reach a listener: its first loopback address, else loopback at its first port.
pub(crate) fn reachable(bound: &[SocketAddr]) -> Option<SocketAddr> {
    let first = *bound.first()?;
    let loopback = bound.iter().copied().find(|addr| addr.ip().is_loopback());
    Some(loopback.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.port())))
}
