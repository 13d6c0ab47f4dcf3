//! The queue without the other planes: `forebay queue serve`; and how any plane that runs alone begins and ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::node::Origin;
use control::error::{ApiError, Kind};
use control::plane::{PlaneState, PlaneStatus};
use net::listen::ListenAddr;
use stdx::clock::SystemClock;

use super::ports;
use super::stop::StopRequest;
use super::{Ports, errors, reload};
use crate::output::{self, Done, Quit};
use crate::paths::DataDir;

/// How often a plane that runs alone is asked whether it still does.
const LOOK: Duration = Duration::from_millis(500);

/// Serves the queue until it is told to stop, or until it fails: alone, it does not outlive its disk.
pub(crate) async fn queue(data: &DataDir, listen: Vec<ListenAddr>) -> Done {
    data.create()?;
    ports::withdraw(&data.ports_json())?;
    if let Err(error) = runtime::raise_nofile() {
        output::progress(&format!("note: {error}"));
    }
    let stop = StopRequest::on_signals()?;
    let config = queue::config::Config { listen, ..queue::config::Config::default() };
    let deps =
        queue::Deps { clock: SystemClock::shared(), tokens: Arc::new(queue::NoTokens), sink: Arc::new(queue::NoSink) };
    let queue = queue::start(config, data.plane("queue"), deps)
        .map_err(|error| errors::queue(error, &Origin::Flag("--listen")))?;
    reload::drain_on_usr1(queue.clone())?;
    say_bound("queue", &queue.bound());
    Ports::new(Vec::new(), queue.bound(), Vec::new()).publish(&data.ports_json())?;
    crate::notify::notify("READY=1");
    let status = queue.status();
    tokio::select! {
        () = stop.asked() => {}
        () = failed(&status) => {}
    }
    ports::withdraw(&data.ports_json())?;
    queue.stop().await;
    end_of(&status)
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
