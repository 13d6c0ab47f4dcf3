//! The task of one instance: starts or adopts it, hears it, tells it to stop, and lets its init go when its last words
//! are safe.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Control, Event, Exit, Instance, Ticket};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::node::Node;
use crate::output::{self, Heard};
use crate::regain::{Killing, Regained, Trail};
use crate::ring::LastWords;
use crate::rollout::{Failure, Serial};
use crate::seams::Speaker;
use crate::spec::Wanted;

/// Time for an init to go when its exit has been acknowledged.
const FAREWELL: Duration = Duration::from_secs(5);
/// From SIGKILL through init until the processes are killed by their numbers.
const KILL_ANSWER: Duration = Duration::from_secs(5);

/// What reaches a side from its tasks.
#[derive(Debug)]
pub(crate) enum News {
    /// Of an instance.
    Run(Serial, Report),
    /// Nothing is in flight to the old instances of this change any more, or its time is up.
    Drained(u64),
}

/// What happens to an instance.
#[derive(Debug)]
pub(crate) enum Report {
    /// It runs.
    Started(Box<Ticket>),
    /// It could not be started, or it has ended.
    Ended(Ending),
    /// It does not answer or does not die; it is being killed by the numbers of its processes.
    Killed {
        /// What is wrong with it.
        reason: String,
        /// How far that is.
        killing: Killing,
    },
    /// It can take traffic.
    Healthy,
    /// It cannot, and why.
    Unhealthy {
        /// The rule that failed.
        reason: String,
    },
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// A stable word for machines.
    pub(crate) code: &'static str,
    /// In words: `exit code 1`.
    pub(crate) text: String,
}

impl Ending {
    fn new(code: &'static str, text: impl Into<String>) -> Ending {
        Ending { code, text: text.into() }
    }

    fn of(exit: &Exit) -> Ending {
        let code = match exit.end.ended {
            runtime::Ended::Code(127) => "command_not_found",
            runtime::Ended::Code(126) => "command_not_executable",
            _ => "release_crashed",
        };
        let mut text = exit.end.to_string();
        if exit.end.ended.is_success() && exit.end.left_behind > 0 {
            text += &format!("; it left {} processes behind, which were killed", exit.end.left_behind);
        }
        Ending::new(code, text)
    }
}

impl From<Ending> for Failure {
    fn from(ending: Ending) -> Failure {
        Failure { code: ending.code, rule: ending.text, place: None }
    }
}

/// What an instance is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// SIGTERM now, SIGKILL after this time.
    Stop(Duration),
}

/// What the task needs besides the instance.
pub(crate) struct Desk {
    pub(crate) node: Arc<Node>,
    pub(crate) speaker: Arc<Speaker>,
    pub(crate) words: LastWords,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) news: mpsc::Sender<News>,
}

/// Starts an instance and stays with it.
pub(crate) async fn start(desk: Desk, wanted: Wanted) {
    let serial = desk.speaker.instance.serial;
    let started = async {
        let spec = wanted.spec(&desk.node, &desk.speaker).await?;
        launch(&desk, spec).await
    };
    match started.await {
        Ok(instance) => {
            note_ticket(&desk, &instance.ticket).await;
            stay(desk, instance, None).await;
        }
        Err(ending) => tell(&desk.news, serial, Report::Ended(ending)).await,
    }
}

/// Stays with an instance that was adopted.
pub(crate) async fn adopted(desk: Desk, instance: Instance) {
    let last = desk.node.sink.last_seq(desk.speaker.clone()).await;
    stay(desk, instance, last).await;
}

/// Stays with an instance of an earlier node that could not be spoken to: with luck it answers later, else it is killed.
pub(crate) async fn lost(desk: Desk, trail: Trail) {
    let serial = desk.speaker.instance.serial;
    match trail.regain(&desk).await {
        Regained::Running(instance) => {
            note_ticket(&desk, &instance.ticket).await;
            adopted(desk, *instance).await;
        }
        Regained::Gone(text) => tell(&desk.news, serial, Report::Ended(Ending::new("instance_lost", text))).await,
    }
}

impl Desk {
    /// Tells that its instance is being killed by the numbers of its processes.
    pub(crate) async fn killed(&self, killing: Killing, why: &str) {
        tell(&self.news, self.speaker.instance.serial, Report::Killed { reason: why.into(), killing }).await;
    }
}

async fn launch(desk: &Desk, spec: runtime::Spec) -> Result<Instance, Ending> {
    let socket = spec.socket.clone();
    let (trail, error) = match runtime::start(spec, &desk.node.exe).await {
        Ok(instance) => return Ok(instance),
        Err(error @ runtime::StartError::Silent { .. }) => (Trail { socket, ticket: None }, error.to_string()),
        Err(runtime::StartError::Link { ticket, source }) => (Trail::of(&ticket), source.to_string()),
        Err(error) => return Err(Ending::new("instance_not_started", error.to_string())),
    };
    match trail.regain(desk).await {
        Regained::Running(instance) => Ok(*instance),
        Regained::Gone(_) => Err(Ending::new("instance_not_started", error)),
    }
}

async fn note_ticket(desk: &Desk, ticket: &Ticket) {
    if let Err(error) = keep_ticket(desk, ticket).await {
        tracing::error!(instance = %desk.speaker.instance, error, "its ticket is not stored; its socket will tell");
    }
}

async fn keep_ticket(desk: &Desk, ticket: &Ticket) -> Result<(), String> {
    let json = serde_json::to_string(ticket).map_err(|e| e.to_string())?;
    let stored = desk.node.store.instance_started(desk.speaker.instance.serial, json).await;
    stored.map_err(|e| e.to_string())
}

async fn tell(news: &mpsc::Sender<News>, serial: Serial, report: Report) {
    // A side that has gone needs no news.
    news.send(News::Run(serial, report)).await.ok();
}

/// From the start to the end, through as many connections as it takes. The end is told at once; the last words are
/// stored after it.
async fn stay(mut desk: Desk, instance: Instance, mut stored: Option<u64>) {
    let serial = desk.speaker.instance.serial;
    for note in &instance.notes {
        tracing::warn!(scope = %desk.speaker.scope, instance = %desk.speaker.instance, note, "an instance lacks something");
    }
    let ticket = instance.ticket.clone();
    tell(&desk.news, serial, Report::Started(Box::new(ticket.clone()))).await;
    let mut stop = Stop::default();
    let mut next = Some(instance);
    while let Some(Instance { mut events, control, .. }) = next.take() {
        let (heard, hearing) = mpsc::channel(output::HEARD_MAX);
        let sink = desk.node.sink.clone();
        let storing = output::store(sink, desk.speaker.clone(), control.clone(), hearing, stored);
        let hear = async {
            let after = hear(&mut desk, &mut stop, &mut events, &control, &heard, &ticket).await;
            drop(heard);
            match after {
                After::Reconnected(instance) => Some(*instance),
                After::Ended(ending) => {
                    tell(&desk.news, serial, Report::Ended(ending)).await;
                    None
                }
            }
        };
        (next, ()) = tokio::join!(hear, storing);
        if next.is_some() {
            stored = desk.node.sink.last_seq(desk.speaker.clone()).await;
            continue;
        }
        // The acknowledgement is on its way; init hangs up when it has it.
        let farewell = async { while events.recv().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!(instance = %desk.speaker.instance, "its init does not go");
        }
    }
}

/// What follows a connection.
enum After {
    /// Another one: the instance runs.
    Reconnected(Box<Instance>),
    /// Nothing of it lives.
    Ended(Ending),
}

/// How far the stop of an instance is; it outlives connections.
#[derive(Clone, Copy, Debug, Default)]
struct Stop {
    /// When SIGKILL follows SIGTERM.
    kill_at: Option<Instant>,
    /// When the processes are killed without init's help.
    by_number_at: Option<Instant>,
}

async fn hear(
    desk: &mut Desk,
    stop: &mut Stop,
    events: &mut mpsc::Receiver<Event>,
    control: &Control,
    heard: &mpsc::Sender<Heard>,
    ticket: &Ticket,
) -> After {
    if stop.kill_at.is_some() {
        control.term();
    }
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Output(lines)) => {
                    desk.words.hear(&lines);
                    // The storing task outlives this loop.
                    heard.send(Heard::Said(lines)).await.ok();
                }
                Some(Event::Exited(exit)) => {
                    heard.send(Heard::Ended(exit.seq)).await.ok();
                    return After::Ended(Ending::of(&exit));
                }
                Some(Event::Lost) | None => return reconnect(desk, ticket).await,
            },
            Some(Order::Stop(grace)) = desk.orders.recv() => {
                control.term();
                stop.kill_at.get_or_insert(Instant::now() + grace);
            }
            () = at(stop.kill_at), if stop.by_number_at.is_none() => {
                control.kill();
                stop.by_number_at = Some(Instant::now() + KILL_ANSWER);
            }
            () = at(stop.by_number_at), if stop.by_number_at.is_some() => {
                return After::Ended(put_down(desk, events, heard, ticket).await);
            }
        }
    }
}

/// Kills an instance that its init does not kill, and hears what it had said until then.
async fn put_down(
    desk: &Desk,
    events: &mut mpsc::Receiver<Event>,
    heard: &mpsc::Sender<Heard>,
    ticket: &Ticket,
) -> Ending {
    let why = "its init does not kill it";
    Trail::of(ticket).put_down(why, desk).await;
    while let Some(event) = events.recv().await {
        match event {
            Event::Output(lines) => heard.send(Heard::Said(lines)).await.unwrap_or_default(),
            Event::Exited(exit) => {
                heard.send(Heard::Ended(exit.seq)).await.ok();
                return Ending::of(&exit);
            }
            Event::Lost => break,
        }
    }
    Ending::new("instance_lost", format!("killed, because {why}"))
}

/// The connection is gone. The instance is found again, or nothing of it lives.
async fn reconnect(desk: &Desk, ticket: &Ticket) -> After {
    match Trail::of(ticket).regain(desk).await {
        Regained::Running(instance) => After::Reconnected(instance),
        Regained::Gone(text) => After::Ended(Ending::new("instance_lost", text)),
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
