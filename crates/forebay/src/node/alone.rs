//! One plane without the others: `forebay queue serve`, `forebay router serve`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::RouterFile;
use config::node::Origin;
use control::error::{ApiError, Kind};
use control::plane::{PlaneState, PlaneStatus};
use net::listen::ListenAddr;
use router::standalone::StaticSource;
use router::{AccessSink, EndpointSpec, RouteSpec, Routing, UpstreamName, UpstreamSpec};
use stdx::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::ports;
use super::stop::StopRequest;
use super::{Ports, errors, reload};
use crate::args::RouterServeArgs;
use crate::output::{self, Done, Quit};
use crate::paths::DataDir;
use crate::self_log::SelfLog;
use crate::wire;

/// How often a plane that runs alone is asked whether it still does.
const LOOK: Duration = Duration::from_millis(500);

/// Serves the queue until it is told to stop, or until it fails: alone, it does not outlive its disk.
pub(crate) async fn queue(data: &DataDir, listen: Vec<ListenAddr>) -> Done {
    data.create()?;
    ports::withdraw(&data.ports_json())?;
    SelfLog::to_stderr(Level::INFO)?;
    let config = queue::config::Config { listen, ..queue::config::Config::default() };
    let queue = QueueAlone::start(config, data.plane("queue"), "--listen")?;
    Ports::new(Vec::new(), queue.handle.bound(), Vec::new()).publish(&data.ports_json())?;
    let done = queue.until_stopped().await;
    ports::withdraw(&data.ports_json())?;
    done
}

/// As [`queue`], in beanstalkd's place: all it writes is below `folder`.
pub(crate) async fn queue_in(config: queue::config::Config, folder: PathBuf, level: Level) -> Done {
    SelfLog::to_stderr(level)?;
    QueueAlone::start(config, folder, "-l")?.until_stopped().await
}

/// A queue that is all of its process.
struct QueueAlone {
    handle: queue::Handle,
    stop: StopRequest,
}

impl QueueAlone {
    fn start(config: queue::config::Config, folder: PathBuf, flag: &'static str) -> Result<QueueAlone, Quit> {
        if let Err(error) = runtime::raise_nofile() {
            output::progress(&format!("note: {error}"));
        }
        let stop = StopRequest::on_signals()?;
        let (clock, tokens, sink) = (SystemClock::shared(), Arc::new(queue::NoTokens), Arc::new(queue::NoSink));
        let socket = config.unix_socket.clone();
        let handle = queue::start(config, folder, queue::Deps { clock, tokens, sink })
            .map_err(|error| errors::queue(error, &Origin::Flag(flag)))?;
        reload::drain_on_usr1(handle.clone())?;
        say_bound("queue", &handle.bound());
        if let Some(socket) = socket {
            output::progress(&format!("queue  unix:{}", socket.display()));
        }
        Ok(QueueAlone { handle, stop })
    }

    async fn until_stopped(self) -> Done {
        crate::notify::notify("READY=1");
        let status = self.handle.status();
        tokio::select! {
            () = self.stop.asked() => {}
            () = failed(&status) => {}
        }
        self.handle.stop().await;
        end_of(&status)
    }
}

/// Serves the routes of a file until it is told to stop; HUP reads the file again.
pub(crate) async fn router(args: RouterServeArgs) -> Done {
    if let Err(error) = runtime::raise_nofile() {
        output::progress(&format!("note: {error}"));
    }
    let stop = StopRequest::on_signals()?;
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
        Some(path) => Arc::new(wire::router_logs::AccessLog::start(into_file(path)?)?),
        None => Arc::new(router::access::Discard),
    };
    let origin = Origin::File { name: args.config.display().to_string(), line: 1 };
    let deps = router::Deps::new(source.clone(), sink, SystemClock::shared());
    let router = router::start(config, deps).map_err(|error| errors::router(error, &origin))?;
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
    end_of(&status)
}

fn say_bound(what: &str, addrs: &[SocketAddr]) {
    for addr in addrs {
        output::progress(&format!("{what:<6} {addr}"));
    }
}

async fn failed(status: &PlaneStatus) {
    while !status.is_failed() {
        tokio::time::sleep(LOOK).await;
    }
}

fn end_of(status: &PlaneStatus) -> Done {
    match status.get() {
        PlaneState::Failed { reason } => Err(Quit::from(
            ApiError::new(Kind::Failed, "plane_failed", format!("the {} failed: {reason}", status.plane()))
                .hint("what was acknowledged is on disk; see to the cause, then start it again"),
        )),
        _ => Ok(()),
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

/// One JSON line per request. A file that cannot be written to is said once per outage; requests go on.
fn into_file(path: &Path) -> Result<wire::router_logs::Outlet, Quit> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(64 << 10, file);
    let mut broken = false;
    Ok(Box::new(move |records, dropped| {
        let mut write = || {
            for record in records.iter() {
                let mut fields = wire::access::fields(record);
                fields.insert("time_ns".into(), record.time.0.into());
                fields.insert("trace".into(), record.trace.trace.to_string().into());
                serde_json::to_writer(&mut out, &fields)?;
                out.write_all(b"\n")?;
            }
            if dropped > 0 {
                serde_json::to_writer(&mut out, &BTreeMap::from([("dropped_records", dropped)]))?;
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        match write() {
            Err(error) if !broken => {
                broken = true;
                output::progress(&format!("the access log cannot be written: {error}"));
            }
            Err(_) => {}
            Ok(()) => broken = false,
        }
    }))
}
