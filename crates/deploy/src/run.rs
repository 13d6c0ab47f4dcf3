//! The task of one instance: starts or adopts it, hears it, tells it to stop, and lets its init go when its last words
//! are safe.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime::{AdoptError, Control, Event, Exit, Instance, Ticket};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::node::Node;
use crate::output::{self, Heard};
use crate::ring::LastWords;
use crate::rollout::{Failure, Serial};
use crate::seams::Speaker;
use crate::spec::Wanted;

/// Time for an init to go when its exit has been acknowledged.
const FAREWELL: Duration = Duration::from_secs(5);
/// From SIGKILL until an instance is given up: its processes sit in the kernel.
const UNKILLABLE: Duration = Duration::from_secs(30);
/// Tries to speak to an init that lives and does not answer, and the pause between them.
const ADOPT_TRIES: u32 = 3;
const ADOPT_PAUSE: Duration = Duration::from_secs(1);

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
        Ending::new(code, exit.end.to_string())
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
        launch(spec, &desk.node.exe).await
    };
    match started.await {
        Ok(instance) => {
            if let Err(error) = keep_ticket(&desk, &instance.ticket).await {
                tracing::error!(instance = %desk.speaker.instance, error, "its ticket is not stored; its socket will tell");
            }
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

/// Finds an instance of an earlier node again. `None`: nothing of it runs (any more).
pub(crate) async fn adopt(socket: PathBuf, ticket: Option<Ticket>) -> Option<Instance> {
    for left in (0..ADOPT_TRIES).rev() {
        let found = match &ticket {
            Some(ticket) => runtime::adopt(ticket).await,
            None => runtime::adopt_at(&socket).await,
        };
        match found {
            Ok(instance) => return Some(instance),
            Err(AdoptError::Gone { .. }) => return None,
            Err(AdoptError::Orphan(orphan)) => {
                if !orphan.kill().await {
                    tracing::error!(socket = %socket.display(), "processes without an init cannot be killed");
                }
                return None;
            }
            Err(AdoptError::Link(error)) => {
                tracing::warn!(socket = %socket.display(), %error, "an init does not answer");
                if left > 0 {
                    tokio::time::sleep(ADOPT_PAUSE).await;
                }
            }
        }
    }
    None
}

async fn launch(spec: runtime::Spec, exe: &std::path::Path) -> Result<Instance, Ending> {
    let socket = spec.socket.clone();
    match runtime::start(spec, exe).await {
        Ok(instance) => Ok(instance),
        Err(error @ runtime::StartError::Silent { .. }) => {
            adopt(socket, None).await.ok_or_else(|| Ending::new("instance_not_started", error.to_string()))
        }
        Err(runtime::StartError::Link { ticket, source }) => {
            let found = adopt(socket, Some(*ticket)).await;
            found.ok_or_else(|| Ending::new("instance_not_started", source.to_string()))
        }
        Err(error) => Err(Ending::new("instance_not_started", error.to_string())),
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

/// From the start to the end. The end is told at once; the last words are stored after it.
async fn stay(mut desk: Desk, instance: Instance, stored: Option<u64>) {
    let serial = desk.speaker.instance.serial;
    for note in &instance.notes {
        tracing::warn!(scope = %desk.speaker.scope, instance = %desk.speaker.instance, note, "an instance lacks something");
    }
    let Instance { ticket, mut events, control, .. } = instance;
    tell(&desk.news, serial, Report::Started(Box::new(ticket.clone()))).await;
    let (heard, hearing) = mpsc::channel(output::HEARD_MAX);
    let sink = desk.node.sink.clone();
    let storing = output::store(sink, desk.speaker.clone(), control.clone(), hearing, stored);
    let hear = async {
        let ending = hear(&mut desk, &mut events, &control, &heard, &ticket).await;
        drop(heard);
        tell(&desk.news, serial, Report::Ended(ending)).await;
    };
    tokio::join!(hear, storing);
    // The acknowledgement is on its way; init hangs up when it has it.
    let farewell = async { while events.recv().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!(instance = %desk.speaker.instance, "its init does not go");
    }
}

async fn hear(
    desk: &mut Desk,
    events: &mut mpsc::Receiver<Event>,
    control: &Control,
    heard: &mpsc::Sender<Heard>,
    ticket: &Ticket,
) -> Ending {
    let mut kill_at: Option<Instant> = None;
    let mut given_up_at: Option<Instant> = None;
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
                    return Ending::of(&exit);
                }
                Some(Event::Lost) | None => return lost(ticket).await,
            },
            Some(Order::Stop(grace)) = desk.orders.recv() => {
                control.term();
                kill_at.get_or_insert(Instant::now() + grace);
            }
            () = at(kill_at), if given_up_at.is_none() => {
                control.kill();
                given_up_at = Some(Instant::now() + UNKILLABLE);
            }
            () = at(given_up_at), if given_up_at.is_some() => {
                tracing::error!(instance = %desk.speaker.instance, "it does not die; it is given up");
                return Ending::new("instance_unkillable", "it does not die of SIGKILL");
            }
        }
    }
}

/// Init is gone: what it leaves is killed, so that nothing runs twice.
async fn lost(ticket: &Ticket) -> Ending {
    match runtime::adopt(ticket).await {
        Err(AdoptError::Orphan(orphan)) => {
            let gone = orphan.kill().await;
            Ending::new(
                "instance_lost",
                if gone { "its init process was killed" } else { "its init is gone and it does not die" },
            )
        }
        Err(AdoptError::Gone { unclaimed: Some(word) }) => Ending::new("instance_lost", word.end.to_string()),
        _ => Ending::new("instance_lost", "its init process was killed"),
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
