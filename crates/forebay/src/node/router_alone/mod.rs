//! The router without the other planes: `forebay router serve`.
//!
//! `folder`: its data folder. `plan`: what its file says. `signals`: HUP and USR1. `hand_over`: USR2.

mod folder;
mod hand_over;
mod plan;
mod signals;

use std::rc::Rc;
use std::sync::Arc;

use config::RouterFile;
use config::node::Origin;
use control::error::{ApiError, Kind};
use control::plane::PlaneStatus;
use router::AccessSink;
use router::standalone::{Alone, Driving};
use stdx::clock::SystemClock;
use tracing::Level;

use self::folder::Folder;
use self::plan::plan_of;
use self::signals::{Reload, reload_on_hup, reopen_on_usr1};
use super::access_file::{self, Reopen};
use super::admin::Admin;
use super::alone::{end_of, failed, say_bound};
use super::connectors::Connectors;
use super::{Control, api, certificates, errors};
use crate::args::{AccessLogFormat, Global, RouterServeArgs};
use crate::output::{self, Done, Quit};
use crate::self_log::SelfLog;
use crate::upgrade::{self, Binary, Heir, Successor, Upgrades};
use crate::wire;

/// Serves the routes of a file until it is told to stop; HUP reads the file again, USR2 hands over to a new process. With a
/// data folder it keeps what is set by hand and has the admin API's socket; without one it has neither.
pub(crate) async fn serve(global: &Global, args: RouterServeArgs) -> Done {
    if let Err(error) = runtime::raise_nofile() {
        output::progress(&format!("note: {error}"));
    }
    let binary = Binary::of_this_process()?;
    let upgrades = Upgrades::on_usr2()?;
    let mut heir = Heir::of_what_there_is()?;
    let control = Control::new(upgrades, heir.sockets.clone())?;
    let started = Serving::start(global, args, binary, control, &mut heir);
    let serving = started.inspect_err(|quit| heir.fails(quit))?;
    serving.take_over(heir).await?;
    serving.until_its_end().await
}

/// A router that serves.
struct Serving {
    router: router::Handle,
    driving: Rc<Driving>,
    admin: Option<Admin>,
    folder: Option<Folder>,
    asking: Option<acme::Running>,
    binary: Binary,
    control: Control,
}

/// How it ends.
enum End {
    Stop,
    HandOver(Successor),
}

impl Serving {
    /// Everything that can fail does so before the first connection is taken, but for the router's own start.
    fn start(
        global: &Global,
        args: RouterServeArgs,
        binary: Binary,
        control: Control,
        heir: &mut Heir,
    ) -> Result<Serving, Quit> {
        if global.data.is_none() && !args.admin.is_empty() {
            let error =
                ApiError::new(Kind::Usage, "admin_without_data", "the admin API needs a data folder for its token");
            return Err(error.hint("name one with --data").into());
        }
        let folder = global.data.as_deref().map(|path| Folder::take(path, heir)).transpose()?;
        if folder.is_none() {
            SelfLog::to_stderr(Level::INFO)?;
        }
        let file = RouterFile::load(&args.config)?;
        let config = config_of(&file, &args)?;
        let connectors = Connectors::default();
        let plan = plan_of(&file, &connectors)?;
        heir.prepared()?;

        let (reopen, clock) = (Reopen::default(), SystemClock::shared());
        let memory = folder.as_ref().map(|folder| folder.data.plane("router").join("health.json"));
        let alone = Alone::new(plan, file.dns.clone(), memory, clock.clone())
            .map_err(|error| ApiError::new(Kind::Failed, "name_servers_unreadable", error.to_string()))?;
        let origin = Origin::File { name: args.config.display().to_string(), line: 1 };
        let mut deps = router::Deps::new(alone.source(), sink_of(&args, &reopen)?, clock);
        deps.health = alone.health();
        (deps.sockets, deps.keys_wait) = (control.sockets.clone(), heir.overlaps());
        let doors = folder.as_ref().map(|folder| folder.doors(&control.sockets, &args.admin)).transpose()?;
        if let Some(folder) = &folder {
            deps.overrides = folder.overrides()?;
            deps.data = Some(folder.data.plane("router"));
        }
        let router = router::start(config, deps).map_err(|error| errors::router(error, &origin))?;
        let admin = doors.map(|doors| {
            say_bound("admin", &doors.addrs);
            let routes = api::of_router(&router).merge(upgrade::admin::routes(control.upgrades.clone()));
            Admin::start(routes, doors)
        });
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
        Ok(Serving { router, driving, admin, folder, asking, binary, control })
    }

    /// Says where it serves. Where another process did so before, it ends.
    async fn take_over(&self, mut heir: Heir) -> Result<(), Quit> {
        say_bound("http", &self.router.bound());
        say_bound("https", &self.router.bound_tls());
        let overlaps = heir.overlaps();
        heir.serves().await;
        if let Some(folder) = self.folder.as_ref().filter(|_| overlaps) {
            folder.lock.sign()?;
        }
        crate::notify::notify("READY=1");
        if overlaps {
            tracing::info!(version = env!("CARGO_PKG_VERSION"), "this process serves in the place of the one before");
            let router = self.router.clone();
            tokio::task::spawn_local(async move {
                heir.keys_are_settled().await;
                match tokio::task::spawn_blocking(move || router.open_answers()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "requests with an idempotency key wait in vain"),
                    Err(error) => tracing::error!(%error, "requests with an idempotency key wait in vain"),
                }
            });
        }
        Ok(())
    }

    async fn until_its_end(self) -> Done {
        let status = self.router.status();
        match self.end(&status).await {
            End::Stop => self.stop().await,
            End::HandOver(successor) => self.make_way(successor).await,
        }
        end_of(&status)
    }

    async fn end(&self, status: &PlaneStatus) -> End {
        let upgraded = async {
            loop {
                self.control.upgrades.wanted().await;
                match self.hand_over().await {
                    Ok(successor) => return successor,
                    Err(error) => self.control.upgrades.failed(error),
                }
            }
        };
        tokio::select! {
            () = self.control.stop.asked() => End::Stop,
            () = failed(status) => End::Stop,
            successor = upgraded => End::HandOver(successor),
        }
    }

    async fn stop(self) {
        crate::notify::notify("STOPPING=1");
        drop(self.asking);
        self.router.drain(self.router.drain_limit()).await;
        self.driving.stop().await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
    }
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
