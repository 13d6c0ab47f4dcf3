//! One application in one environment: a task with a mailbox that owns its instances and carries out its changes, one
//! at a time.
//!
//! `change.rs`: a deploy, rollback or scale as it is asked for; `steps.rs`: how it is carried out. `switch.rs`: the moment in which traffic moves.
//! `life.rs`: what happens to single instances. `adopt.rs`: the start of a node that finds instances. `fleet.rs`: the
//! values. `rows.rs`: what is shown.

mod adopt;
mod change;
mod fleet;
mod life;
mod plan;
mod rows;
mod steps;
mod switch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use control::wire::InstanceRow;
use stdx::clock::Mono;
use stdx::ids::Scope;
use stdx::rng::Rng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub(crate) use adopt::Found;
pub(crate) use change::{Request, Want};

use crate::node::{AtStop, Node};
use crate::rollout::{Event, Failure, Serial};
use crate::run::News;
use change::Change;
use fleet::{Fleet, Run};

/// News that wait for the side; its tasks wait with more.
const NEWS: usize = 256;
/// Changes that wait for the one under way (`?wait`).
const WAITING_MAX: usize = 8;
/// Time for the last words of stopped instances to be stored when the node stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a side is told.
pub(crate) enum Message {
    /// Change what runs.
    Change(Request),
    /// Show what runs.
    Rows(oneshot::Sender<Vec<InstanceRow>>),
    /// End; the answer comes when that is done.
    Stop(AtStop, oneshot::Sender<()>),
}

/// The state of one application.
pub(crate) struct Side {
    node: Arc<Node>,
    scope: Scope,
    /// Every instance of which there are or may be processes.
    runs: BTreeMap<Serial, Run>,
    /// What has the traffic.
    serving: Option<Fleet>,
    /// What is being changed.
    change: Option<Change>,
    /// Counts changes, so that late news are told apart.
    changes: u64,
    waiting: VecDeque<Request>,
    stopping: Option<(AtStop, oneshot::Sender<()>)>,
    news: mpsc::Sender<News>,
    tasks: JoinSet<()>,
    rng: Rng,
}

/// Runs a side until it is stopped.
pub(crate) async fn run(node: Arc<Node>, scope: Scope, mut mailbox: mpsc::Receiver<Message>, found: Option<Found>) {
    let (news, mut incoming) = mpsc::channel(NEWS);
    let mut side = Side {
        node,
        scope,
        runs: BTreeMap::new(),
        serving: None,
        change: None,
        changes: 0,
        waiting: VecDeque::new(),
        stopping: None,
        news,
        tasks: JoinSet::new(),
        rng: stdx::rng::from_kernel(),
    };
    if let Some(found) = found {
        side.recover(found).await;
    }
    while !side.is_over() {
        let due = side.due();
        tokio::select! {
            biased;
            Some(news) = incoming.recv() => side.on_news(news).await,
            message = mailbox.recv() => match message {
                Some(message) => side.on_message(message).await,
                None => return,
            },
            () = sleep_until(&side.node, due) => side.on_time().await,
            Some(ended) = side.tasks.join_next() => side.on_task(&ended),
        }
        side.begin_next().await;
    }
    side.end().await;
}

async fn sleep_until(node: &Node, due: Option<Mono>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(node.clock.mono())).await,
        None => std::future::pending().await,
    }
}

impl Side {
    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Change(request) => self.on_request(request).await,
            Message::Rows(answer) => {
                if answer.send(self.rows()).is_err() {
                    tracing::debug!("nobody waits for the rows any more");
                }
            }
            Message::Stop(at_stop, answer) => self.on_stop(at_stop, answer).await,
        }
    }

    async fn on_news(&mut self, news: News) {
        match news {
            News::Run(serial, report) => self.on_report(serial, report).await,
            News::Drained(change) => {
                if self.change.as_ref().is_some_and(|current| current.number == change) {
                    self.on_event(Event::Drained).await;
                }
            }
        }
    }

    /// The clock has reached something: a rollout's deadline, the end of a back-off.
    async fn on_time(&mut self) {
        self.on_event(Event::Tick).await;
        self.stop_ill();
        self.restart_due().await;
    }

    fn on_task(&self, ended: &Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.node.status.fail(format!("a task of {} panicked", self.scope));
        }
    }

    async fn on_stop(&mut self, at_stop: AtStop, answer: oneshot::Sender<()>) {
        self.stopping = Some((at_stop, answer));
        for request in self.waiting.drain(..) {
            request.progress.failed(crate::errors::stopping());
        }
        self.on_event(Event::Cancel(Failure { code: "node_stopping", rule: "the node stops".into(), place: None }))
            .await;
        if at_stop == AtStop::StopInstances {
            let all: Vec<Serial> = self.runs.keys().copied().collect();
            for serial in all {
                self.stop_run(serial).await;
            }
        }
    }

    /// Whether the side was told to stop and has nothing left to wait for. What cannot be killed waits for the next start.
    fn is_over(&self) -> bool {
        let mut mortal = self.runs.values().filter(|run| !run.unkillable);
        match &self.stopping {
            Some((AtStop::StopInstances, _)) => mortal.next().is_none(),
            Some((AtStop::LeaveInstances, _)) => !mortal.any(Run::is_stopping) && self.change.is_none(),
            None => false,
        }
    }

    /// Instances that run on are let go; of those that have ended the last words are stored first.
    async fn end(mut self) {
        self.runs.clear();
        if let Some((at_stop, answer)) = self.stopping.take() {
            if at_stop == AtStop::StopInstances {
                let all = async { while self.tasks.join_next().await.is_some() {} };
                if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
                    tracing::warn!(scope = %self.scope, "last words are still not stored; they wait for the next start");
                }
            }
            self.tasks.shutdown().await;
            answer.send(()).ok();
        }
    }
}
