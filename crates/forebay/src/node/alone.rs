//! The queue without the other planes: `forebay queue serve`; and how any plane that runs alone begins and ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::node::Origin;
use control::error::{ApiError, Kind};
use control::plane::{PlaneState, PlaneStatus};
use net::sockets::Sockets;
use queue::{NoTokens, TokenSource};
use stdx::clock::SystemClock;
use tracing::Level;

use super::admin::Admin;
use super::ports;
use super::stop::StopRequest;
use super::{AllPorts, Ports, admin, api, certificates, errors, reload};
use crate::output::{self, Done, Quit};
use crate::paths::DataDir;
use crate::self_log::SelfLog;
use crate::wire::queue_logs::OnStderr;

/// How often a plane that runs alone is asked whether it still does.
const LOOK: Duration = Duration::from_millis(500);

/// Serves the queue, and the admin API on its socket, until it is told to stop, or until it fails: alone, it does not outlive its disk.
pub(crate) async fn queue(data: &DataDir, config: queue::config::Config, tokens: Arc<dyn TokenSource>) -> Done {
    data.create_for_one()?;
    ports::withdraw(&data.ports_json())?;
    SelfLog::to_stderr(Level::INFO)?;
    let queue = QueueAlone::start(config, data.plane("queue"), tokens, "--listen")?;
    let socket = data.runtime()?.join("admin.sock");
    let doors = admin::doors(&Sockets::default(), &socket, &[], data, String::new())?;
    let admin = Admin::start(api::queue_alone(&queue.handle), doors);
    if let Err(error) = Ports::new(AllPorts::default(), &queue.handle).publish(&data.ports_json()) {
        // A queue on a full disk must start: deletes are what makes room.
        tracing::warn!(%error, "ports.json could not be written");
    }
    let done = queue.until_stopped().await;
    ports::withdraw(&data.ports_json())?;
    admin.stop().await;
    done
}

/// As [`queue()`], in beanstalkd's place: all it writes is below `folder`.
pub(crate) async fn queue_in(config: queue::config::Config, folder: PathBuf, level: Level) -> Done {
    SelfLog::to_stderr(level)?;
    QueueAlone::start(config, folder, Arc::new(NoTokens), "-l")?.until_stopped().await
}

/// A queue that is all of its process.
struct QueueAlone {
    handle: queue::Handle,
    stop: StopRequest,
}

impl QueueAlone {
    fn start(
        config: queue::config::Config,
        folder: PathBuf,
        tokens: Arc<dyn TokenSource>,
        flag: &'static str,
    ) -> Result<QueueAlone, Quit> {
        if let Err(error) = runtime::raise_nofile() {
            output::progress(&format!("note: {error}"));
        }
        let stop = StopRequest::on_signals()?;
        let (clock, sink) = (SystemClock::shared(), Arc::new(OnStderr));
        let socket = config.unix_socket.clone();
        let handle = queue::start(config, folder, queue::Deps { clock, tokens, sink, sockets: Default::default() })
            .map_err(|error| errors::queue(error, &Origin::Flag(flag)))?;
        reload::drain_on_usr1(handle.clone())?;
        say_bound("queue", &handle.bound());
        for addr in handle.bound_tls() {
            output::progress(&format!("queue  {addr} with TLS"));
        }
        certificates::follow_queue(&handle);
        for addr in handle.http_bound() {
            output::progress(&format!("queue  http://{addr}"));
        }
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

pub(super) fn say_bound(what: &str, addrs: &[SocketAddr]) {
    for addr in addrs {
        output::progress(&format!("{what:<6} {addr}"));
    }
}

pub(super) async fn failed(status: &PlaneStatus) {
    while !status.is_failed() {
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) fn end_of(status: &PlaneStatus) -> Done {
    match status.get() {
        PlaneState::Failed { reason } => Err(Quit::from(
            ApiError::new(Kind::Failed, "plane_failed", format!("the {} failed: {reason}", status.plane()))
                .hint("what was acknowledged is on disk; see to the cause, then start it again"),
        )),
        _ => Ok(()),
    }
}
