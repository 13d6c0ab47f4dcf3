//! The queue's thread: its sockets, its timers and the way to its committer.

mod accept;
mod checkpoints;
mod commits;
mod connection;
mod doors;
pub(crate) mod session;
mod shell;
pub(crate) mod stream;
mod timers;
mod visit;

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use control::plane::{PlaneState, PlaneStatus};
use stdx::clock::SharedClock;
use stdx::io::Io;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet, LocalSet};
use wal::Committer;

use crate::broker::Broker;
use crate::handle::Request;
use crate::tls::Tls;
use shell::Shell;
use stream::Listener;

/// All that the thread needs.
pub(crate) struct Parts<D: Io> {
    pub(crate) broker: Broker<D>,
    pub(crate) committer: Committer<D>,
    pub(crate) listeners: Vec<Listener>,
    /// What listeners with TLS serve with.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) clock: SharedClock,
    pub(crate) status: PlaneStatus,
    pub(crate) requests: mpsc::Receiver<Request>,
}

/// How serving came to its end.
pub(crate) enum End {
    /// Somebody asked for it; the answer is due when the folder is free again.
    Stopped(Option<oneshot::Sender<()>>),
    /// A bug. The state in memory is not to be trusted any more; the log is.
    Panicked(String),
}

/// Serves until it is told to stop, or fails.
pub(crate) async fn serve<D: Io>(parts: Parts<D>) -> (End, mpsc::Receiver<Request>) {
    let local = LocalSet::new();
    let Parts { broker, committer, listeners, tls, clock, status, mut requests } = parts;
    let end = local
        .run_until(async {
            let (shell, commits) = match Shell::new(broker, committer, tls, clock, status.clone()) {
                Ok(shell) => shell,
                Err(cause) => return End::Panicked(format!("no thread for its committer: {cause}")),
            };
            let mut tasks = JoinSet::new();
            tasks.spawn_local(commits::run(Rc::clone(&shell), commits));
            tasks.spawn_local(timers::run(Rc::clone(&shell)));
            tasks.spawn_local(timers::keep_house(Rc::clone(&shell)));
            tasks.spawn_local(checkpoints::run(Rc::clone(&shell)));
            for listener in listeners {
                tasks.spawn_local(accept::run(Rc::clone(&shell), listener));
            }
            let stop = loop {
                tokio::select! {
                    request = requests.recv() => match request {
                        Some(Request::Stop(done)) => break Some(done),
                        Some(Request::Door(call)) => {
                            tasks.spawn_local(doors::run(Rc::clone(&shell), *call));
                        }
                        Some(Request::GiveBack(namespace, leases)) => shell.give_back(&namespace, &leases),
                        Some(request) => answer(&shell, request),
                        None => break None,
                    },
                    Some(ended) = tasks.join_next() => if let Err(ended) = ended {
                        return End::Panicked(panic_text(ended));
                    },
                }
            };
            status.set(PlaneState::Draining);
            shell.finish().await;
            End::Stopped(stop)
        })
        .await;
    (end, requests)
}

fn answer<D: Io>(shell: &Shell<D>, request: Request) {
    let mut broker = shell.broker.borrow_mut();
    match request {
        Request::Rows(to) => {
            let rows = broker.rows(shell.now());
            if to.send(rows).is_err() {
                tracing::debug!("whoever asked for the tubes has gone");
            }
        }
        Request::Configure(scope, tubes) => broker.configure(&scope.into(), tubes),
        Request::Limits(config) => broker.set_limits(&config),
        Request::Drain(draining) => {
            broker.intake_mut().draining = draining;
            shell.status.set(if draining { PlaneState::Draining } else { PlaneState::Running });
        }
        Request::Door(_) | Request::GiveBack(..) | Request::Stop(_) => unreachable!("taken before"),
    }
}

/// What a task that ended badly had to say.
pub(crate) fn panic_text(ended: JoinError) -> String {
    match ended.try_into_panic() {
        Ok(panic) => payload_text(&*panic),
        Err(ended) => ended.to_string(),
    }
}

/// The text of a panic.
pub(crate) fn payload_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
