//! The queue's second thread: what works on tubes but is no part of them. It serves the HTTP door, pushes tubes and puts
//! periodic jobs, all through [`crate::door`]; what goes wrong here costs the queue's own thread nothing.

mod alerts;
mod crons;
mod pushes;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use control::wire::{AlertRow, QueueRow};
use net::sockets::Sockets;
use stdx::clock::SharedClock;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::config::Config;
use crate::cron::CronConfig;
use crate::event::{JobSink, TokenSource};
use crate::handle::Handle;
use crate::http;
use crate::names::Namespace;
use crate::push::PushSpec;
use crate::serve::payload_text;
use alerts::AlertBoard;
use pushes::Board;

/// How long posts and requests under way may take when the plane stops.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What works on the tubes of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Tubes that are delivered as HTTP, by name.
    pub pushes: BTreeMap<String, PushSpec>,
    /// Periodic jobs, by name.
    pub crons: BTreeMap<String, CronConfig>,
}

/// All that the thread needs.
struct Parts {
    queue: Handle,
    listeners: Vec<TcpListener>,
    sockets: Sockets,
    tokens: Arc<dyn TokenSource>,
    sink: Arc<dyn JobSink>,
    clock: SharedClock,
    connections_max: u32,
    input_bytes_max: usize,
}

/// Starts the thread, with what `node.toml` says of the shared tubes.
pub(crate) fn start(
    queue: Handle,
    config: &Config,
    (listeners, sockets): (Vec<TcpListener>, Sockets),
    tokens: Arc<dyn TokenSource>,
    sink: Arc<dyn JobSink>,
    clock: SharedClock,
) -> io::Result<Side> {
    let (connections_max, input_bytes_max) = (config.http_connections_max, config.http_input_bytes_max);
    let side = Side::start(Parts { queue, listeners, sockets, tokens, sink, clock, connections_max, input_bytes_max })?;
    let work = of_node(config);
    if work != Work::default() {
        side.employ(Namespace::SHARED, work);
    }
    Ok(side)
}

/// What the thread tells of itself, for listings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boards {
    pushes: Arc<Board>,
    alerts: Arc<AlertBoard>,
}

impl Boards {
    /// Adds to each row how its tube is pushed, and what is wrong with it.
    pub(crate) fn fill_in(&self, rows: &mut [QueueRow]) {
        self.pushes.fill_in(rows);
        self.alerts.fill_in(rows);
    }

    /// The alerts that are raised.
    pub(crate) fn alerts(&self) -> Vec<AlertRow> {
        self.alerts.rows()
    }
}

/// The running thread; it ends when this is dropped.
pub(crate) struct Side {
    orders: mpsc::UnboundedSender<(Namespace, Work)>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Side {
    fn start(parts: Parts) -> io::Result<Side> {
        let (orders, taken) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let shown = parts.queue.boards().clone();
        Builder::new().name("queue-side".into()).spawn(move || {
            let run = catch_unwind(AssertUnwindSafe(|| run(parts, taken, shown, stopped)));
            if let Err(panic) = run {
                let text = payload_text(&*panic);
                tracing::error!(
                    text,
                    "the queue's HTTP door, pushes and periodic jobs have ended; a restart brings them back"
                );
            }
            end.send_replace(true);
        })?;
        Ok(Side { orders, stop, ended })
    }

    /// From now on this is what works on the tubes of the namespace.
    pub(crate) fn employ(&self, namespace: Namespace, work: Work) {
        if self.orders.send((namespace, work)).is_err() {
            tracing::error!("the queue's second thread has ended: pushes and periodic jobs stay as they were");
        }
    }

    /// Ends the thread; what is under way may take a few seconds.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let ended = self.ended.clone().wait_for(|ended| *ended).await.map(drop);
        if ended.is_err() {
            tracing::debug!("the queue's second thread ended without a word");
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// What `node.toml` says of the shared tubes.
fn of_node(config: &Config) -> Work {
    let to = |push: &crate::push::PushConfig| push.url.as_ref().map(|url| push.to(url.clone(), None));
    let pushes = config.push.iter().filter_map(|(tube, push)| Some((tube.clone(), to(push)?)));
    Work { pushes: pushes.collect(), crons: config.cron.clone() }
}

fn run(
    parts: Parts,
    mut orders: mpsc::UnboundedReceiver<(Namespace, Work)>,
    boards: Boards,
    mut stop: watch::Receiver<bool>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return tracing::error!(%cause, "the queue's second thread has no event loop"),
    };
    let Parts { queue, listeners, sockets, tokens, sink, clock, connections_max, input_bytes_max } = parts;
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    runtime.block_on(local.run_until(async {
        let door = Rc::new(http::serve::Door::new(queue.clone(), tokens, connections_max, input_bytes_max));
        for listener in listeners {
            tasks.spawn_local(http::serve::accept(Rc::clone(&door), listener, sockets.clone(), stop.clone()));
        }
        let crons = crons::Crons::new(queue.clone(), clock.clone());
        tasks.spawn_local(crons.clone().run(stop.clone()));
        tasks.spawn_local(alerts::run(queue.clone(), clock.clone(), sink, boards.alerts, stop.clone()));
        let mut pushes = pushes::Pushes::new(queue, clock, boards.pushes);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some((namespace, work)) => {
                        crons.employ(&namespace, work.crons);
                        pushes.employ(&namespace, work.pushes);
                    }
                    None => break,
                },
                Some(ended) = tasks.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a task of the queue's second thread has ended");
                },
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let finish = async {
            pushes.stop().await;
            door.finish().await;
        };
        if tokio::time::timeout(STOP_MAX, finish).await.is_err() {
            tracing::warn!("pushed jobs or requests were under way at the stop; those jobs come again");
        }
    }));
}
