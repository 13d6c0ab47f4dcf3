//! The router without the other planes: `forebay router serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::RouterFile;
use config::node::Origin;
use control::error::{ApiError, Kind};
use net::listen::ListenAddr;
use router::config::RoutePolicy;
use router::standalone::StaticSource;
use router::{AccessSink, EndpointSpec, Overrides, RouteSpec, Routing, UpstreamName, UpstreamSpec};
use stdx::clock::SystemClock;
use stdx::lock::FolderLock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::admin::{self, Admin};
use super::alone::{end_of, failed, say_bound};
use super::stop::StopRequest;
use super::{access_file, errors};
use crate::args::{Global, RouterServeArgs};
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
    let mut config = file.router.clone();
    if config.listen.is_empty() {
        config.listen = vec![
            "127.0.0.1:8080"
                .parse()
                .map_err(|e: net::listen::ListenError| ApiError::new(Kind::Failed, e.code(), e.to_string()))?,
        ];
    }
    let drain = Duration::from_millis(config.drain_timeout_ms.into());
    let source = Arc::new(StaticSource::new(routing_of(&file)));
    let sink: Arc<dyn AccessSink> = match &args.access_log {
        Some(path) => Arc::new(wire::router_logs::AccessLog::start(access_file::into_file(path)?)?),
        None => Arc::new(router::access::Discard),
    };
    let origin = Origin::File { name: args.config.display().to_string(), line: 1 };
    let mut deps = router::Deps::new(source.clone(), sink, SystemClock::shared());
    if let Some(folder) = &folder {
        deps.overrides = folder.overrides()?;
    }
    let router = router::start(config, deps).map_err(|error| errors::router(error, &origin))?;
    let admin = folder.as_ref().map(|folder| folder.admin(&router, &args.admin)).transpose()?;
    reload_on_hup(args.config.clone(), source)?;
    say_bound("http", &router.bound());
    crate::notify::notify("READY=1");
    let status = router.status();
    tokio::select! {
        () = stop.asked() => {}
        () = failed(&status) => {}
    }
    crate::notify::notify("STOPPING=1");
    router.drain(drain).await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    end_of(&status)
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
        data.create()?;
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

fn routing_of(file: &RouterFile) -> Routing {
    let endpoints = |addrs: &[SocketAddr]| addrs.iter().map(|addr| EndpointSpec::at(*addr)).collect();
    Routing {
        routes: file
            .routes
            .iter()
            .map(|route| RouteSpec {
                name: format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path_prefix),
                host: route.host.clone(),
                path_prefix: route.path_prefix.clone(),
                upstream: UpstreamName::new(&route.upstream),
                fallback: fallback(&route.policy).map(UpstreamName::new),
                scope: None,
                policy: route.policy.clone(),
            })
            .collect(),
        upstreams: file
            .upstreams
            .iter()
            .map(|(name, upstream)| UpstreamSpec {
                name: UpstreamName::new(name),
                endpoints: endpoints(&upstream.endpoints),
                policy: upstream.policy.clone(),
            })
            .collect(),
    }
}

fn fallback(policy: &RoutePolicy) -> Option<&str> {
    policy.fallback.as_ref()?.upstream.as_deref()
}

/// A file that cannot be read, or an empty one, never takes away the routes that serve.
fn reload_on_hup(path: PathBuf, source: Arc<StaticSource>) -> Result<(), Quit> {
    let mut hup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        while hup.recv().await.is_some() {
            match RouterFile::load(&path) {
                Ok(file) => {
                    source.replace(routing_of(&file));
                    output::progress("read again: routes and upstreams are new; listening addresses need a restart");
                }
                Err(error) => {
                    let told = output::print_error(&error.into());
                    output::progress(if told.is_ok() { "the routes stay as they were" } else { "" });
                }
            }
        }
    });
    Ok(())
}
