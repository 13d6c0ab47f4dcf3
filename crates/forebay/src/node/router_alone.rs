//! The router without the other planes: `forebay router serve`.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use config::RouterFile;
use config::node::Origin;
use control::error::{ApiError, Kind};
use net::listen::ListenAddr;
use router::config::RoutePolicy;
use router::standalone::{Alone, Check, Driving, Plan, UpstreamPlan};
use router::{AccessSink, Overrides, RouteSpec, UpstreamName};
use stdx::clock::SystemClock;
use stdx::lock::FolderLock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::access_file::{self, Reopen};
use super::admin::{self, Admin};
use super::alone::{end_of, failed, say_bound};
use super::certificates;
use super::connectors::Connectors;
use super::errors;
use super::reload::router_changes;
use super::stop::StopRequest;
use crate::args::{AccessLogFormat, Global, RouterServeArgs};
use crate::output::{self, Done, Quit};
use crate::paths::DataDir;
use crate::self_log::SelfLog;
use crate::wire;

/// Serves the routes of a file until it is told to stop; HUP reads the file again. With a data folder it keeps what is set
/// by hand and has the admin API's socket; without one it has neither.
pub(crate) async fn serve(global: &Global, args: RouterServeArgs) -> Done {
    if let Err(error) = runtime::raise_nofile() {
        output::progress(&format!("note: {error}"));
    }
    let stop = StopRequest::on_signals()?;
    if global.data.is_none() && !args.admin.is_empty() {
        let error = ApiError::new(Kind::Usage, "admin_without_data", "the admin API needs a data folder for its token");
        return Err(error.hint("name one with --data").into());
    }
    let folder = global.data.as_deref().map(Folder::take).transpose()?;
    if folder.is_none() {
        SelfLog::to_stderr(Level::INFO)?;
    }
    let file = RouterFile::load(&args.config)?;
    let config = config_of(&file, &args)?;
    let reopen = Reopen::default();
    let clock = SystemClock::shared();
    let memory = folder.as_ref().map(|folder| folder.data.plane("router").join("health.json"));
    let connectors = Connectors::default();
    let alone = Alone::new(plan_of(&file, &connectors)?, file.dns.clone(), memory, clock.clone())
        .map_err(|error| ApiError::new(Kind::Failed, "name_servers_unreadable", error.to_string()))?;
    let sink = sink_of(&args, &reopen)?;
    let origin = Origin::File { name: args.config.display().to_string(), line: 1 };
    let mut deps = router::Deps::new(alone.source(), sink, clock);
    deps.health = alone.health();
    if let Some(folder) = &folder {
        deps.overrides = folder.overrides()?;
        deps.data = Some(folder.data.plane("router"));
    }
    let router = router::start(config, deps).map_err(|error| errors::router(error, &origin))?;
    let admin = folder.as_ref().map(|folder| folder.admin(&router, &args.admin)).transpose()?;
    reopen_on_usr1(reopen.clone())?;
    let driving = Rc::new(alone.drive(router.clone()));
    let reload = Reload {
        path: args.config.clone(),
        started: file.router,
        driving: driving.clone(),
        connectors: connectors.clone(),
    };
    reload_on_hup(reload, router.clone(), reopen)?;
    certificates::follow_router(&router);
    let asking = certificates::obtain(&router)?;
    certificates::follow_upstreams(connectors);
    say_bound("http", &router.bound());
    say_bound("https", &router.bound_tls());
    crate::notify::notify("READY=1");
    let status = router.status();
    tokio::select! {
        () = stop.asked() => {}
        () = failed(&status) => {}
    }
    crate::notify::notify("STOPPING=1");
    drop(asking);
    router.drain(router.drain_limit()).await;
    driving.stop().await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    end_of(&status)
}

/// Where access records go.
fn sink_of(args: &RouterServeArgs, reopen: &Reopen) -> Result<Arc<dyn AccessSink>, Quit> {
    let Some(path) = &args.access_log else { return Ok(Arc::new(router::access::Discard)) };
    let outlet = access_file::into_file(path, args.access_log_format, reopen.clone())?;
    let agents = args.access_log_format == AccessLogFormat::Combined;
    Ok(Arc::new(wire::router_logs::AccessLog::start(outlet)?.with_agents(agents)))
}

/// The router's settings: those of the file, with the flags in their place.
fn config_of(file: &RouterFile, args: &RouterServeArgs) -> Result<router::config::Config, ApiError> {
    let mut config = file.router.clone();
    if !args.https.is_empty() {
        config.tls.listen.clone_from(&args.https);
    }
    if config.listen.is_empty() && config.tls.listen.is_empty() {
        let default = "127.0.0.1:8080".parse();
        config.listen =
            vec![default.map_err(|e: net::listen::ListenError| ApiError::new(Kind::Failed, e.code(), e.to_string()))?];
    }
    Ok(config)
}

/// The data folder of a router that runs alone.
struct Folder {
    data: DataDir,
    _lock: FolderLock,
}

impl Folder {
    /// Makes it, takes it, and keeps the router's own log there.
    fn take(path: &Path) -> Result<Folder, Quit> {
        let data = DataDir::new(path.to_path_buf());
        data.create_for_one()?;
        let lock =
            FolderLock::take(&data.plane("router"), "forebay router serve").map_err(|error| errors::lock(&error))?;
        SelfLog::install(&data.node_log())?;
        Ok(Folder { data, _lock: lock })
    }

    fn overrides(&self) -> Result<Overrides, ApiError> {
        Overrides::open(&self.data.plane("router")).map_err(|error| errors::overrides(&error, &self.data))
    }

    fn admin(&self, router: &router::Handle, listen: &[ListenAddr]) -> Result<Admin, Quit> {
        let doors = admin::doors(listen, &self.data, "--admin".into())?;
        say_bound("admin", &doors.addrs);
        let routes = super::api::of_router(router);
        Ok(Admin::start(routes, doors, &self.data.runtime()?.join("admin.sock"))?)
    }
}

/// What a file says about routes and upstreams.
///
/// # Errors
/// When the TLS of an upstream cannot be used.
fn plan_of(file: &RouterFile, connectors: &Connectors) -> Result<Plan, ApiError> {
    let mut upstreams = Vec::new();
    for (name, upstream) in &file.upstreams {
        // A file that was read has one.
        let Some(origin) = upstream.origin() else { continue };
        upstreams.push(UpstreamPlan {
            name: UpstreamName::new(name),
            origin,
            check: upstream.health.clone().map(Check::new),
            policy: upstream.policy.clone(),
            reach: connectors.reach(name, upstream)?,
        });
    }
    Ok(Plan {
        routes: file
            .routes
            .iter()
            .map(|route| RouteSpec {
                name: format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path_prefix),
                host: route.host.clone(),
                path_prefix: route.path_prefix.clone(),
                upstream: UpstreamName::new(&route.upstream),
                fallback: fallback(&route.policy).map(UpstreamName::new),
                primary: route.policy.read_your_writes.as_ref().map(|own| UpstreamName::new(&own.primary)),
                scope: None,
                policy: route.policy.clone(),
            })
            .collect(),
        upstreams,
    })
}

/// A USR1 opens the access log again.
fn reopen_on_usr1(reopen: Reopen) -> Result<(), Quit> {
    let mut usr1 = signal(SignalKind::user_defined1())?;
    tokio::task::spawn_local(async move {
        while usr1.recv().await.is_some() {
            reopen.ask();
        }
    });
    Ok(())
}

fn fallback(policy: &RoutePolicy) -> Option<&str> {
    policy.fallback.as_ref()?.upstream.as_deref()
}

/// What is read again, and what was read at the start.
struct Reload {
    path: PathBuf,
    started: router::config::Config,
    driving: Rc<Driving>,
    connectors: Connectors,
}

/// A file that cannot be read, or an empty one, never takes away the routes that serve.
fn reload_on_hup(reload: Reload, router: router::Handle, reopen: Reopen) -> Result<(), Quit> {
    let mut hup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        let mut running = reload.started.clone();
        while hup.recv().await.is_some() {
            reopen.ask();
            let read = RouterFile::load(&reload.path).map_err(ApiError::from);
            let read = read.and_then(|file| Ok((plan_of(&file, &reload.connectors)?, file)));
            match read {
                Ok((plan, file)) => {
                    reload.driving.replace(plan).await;
                    let [applied, _] = router_changes(&running, &file.router);
                    let [_, needs_restart] = router_changes(&reload.started, &file.router);
                    router.reconfigure(file.router.clone());
                    certificates::replace(&router, &file.router.tls.certificates);
                    running = file.router;
                    tracing::info!(applied, needs_restart, "read again: routes and upstreams are as the file says");
                }
                Err(error) => {
                    let told = output::print_error(&error);
                    output::progress(if told.is_ok() { "the routes stay as they were" } else { "" });
                }
            }
        }
    });
    Ok(())
}
