//! The door: bounded in bytes, shared by all senders, never waits for the disk.
//!
//! Bytes are counted from here until the record is durable, so one limit bounds all that the plane holds in memory on
//! its way to the disk. Who may not enter is either told ([`Refused`]) or counted; the writer says the counts in the
//! stream, so that *offered = stored + said to be dropped*.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stdx::ids::Scope;
use tokio::sync::oneshot;
use wal::{CommitError, Committed};

use crate::error::{NotDurable, Refused};
use crate::record::{Record, Source};

/// The writer lets records gather this long, so that a burst wakes it once.
const LINGER: Duration = Duration::from_millis(5);
/// Unless this many bytes wait.
const LINGER_BYTES: u64 = 256 << 10;
/// Streams that are counted apart when they lose records; the rest is counted together.
const DROP_STREAMS_MAX: usize = 64;

/// What a sender awaits: that its records are on disk.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<(), NotDurable>>);

impl Ticket {
    /// Waits until the records, and all that were taken before them, are on disk.
    ///
    /// # Errors
    /// When that cannot be said; see [`NotDurable`].
    pub async fn durable(self) -> Result<(), NotDurable> {
        self.0.await.unwrap_or(Err(NotDurable::Failed))
    }

    /// The same for a thread that is not part of an async runtime.
    ///
    /// # Errors
    /// As [`Ticket::durable`].
    pub fn durable_blocking(self) -> Result<(), NotDurable> {
        self.0.blocking_recv().unwrap_or(Err(NotDurable::Failed))
    }
}

/// The writer's end of a ticket.
pub(crate) type Answer = oneshot::Sender<Result<(), NotDurable>>;

/// What a sender handed over.
pub(crate) enum Incoming {
    Awaited { records: Vec<Record>, answer: Answer },
    Offered(Record),
}

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DropCause {
    QueueFull,
    DiskFull,
    TooLong,
}

impl DropCause {
    /// The words of the report.
    pub(crate) fn words(self) -> &'static str {
        match self {
            DropCause::QueueFull => "queue full",
            DropCause::DiskFull => "disk full",
            DropCause::TooLong => "too long",
        }
    }
}

/// Whose records were dropped, and why. Ordered, so that reports come in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DropStream {
    pub(crate) source: Source,
    pub(crate) scope: Option<Scope>,
    pub(crate) cause: DropCause,
}

pub(crate) type Drops = BTreeMap<DropStream, u64>;

/// Why the door is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Until there is space again.
    DiskFull,
    /// For good.
    Failed,
    /// For good.
    Stopped,
}

#[derive(Default)]
struct State {
    incoming: Vec<Incoming>,
    incoming_bytes: u64,
    pending: u64,
    drops: Drops,
    commits: Vec<Result<Committed, CommitError>>,
    closed: Option<Closed>,
    stopping: bool,
    /// The writer has not heard of the stop yet.
    stop_is_news: bool,
    /// Numbers since the start.
    dropped: u64,
    refused: u64,
}

/// What the writer took out.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) commits: Vec<Result<Committed, CommitError>>,
    pub(crate) stopping: bool,
}

/// Numbers for the status.
pub(crate) struct InboxStats {
    pub(crate) pending: u64,
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    pub(crate) closed: Option<Closed>,
}

pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    pending_max: u64,
}

impl Inbox {
    pub(crate) fn new(pending_max: u64) -> Inbox {
        Inbox { state: Mutex::new(State::default()), wake: Condvar::new(), pending_max }
    }

    /// Takes all of the records or none.
    pub(crate) fn ingest(&self, records: Vec<Record>) -> Result<Ticket, Refused> {
        let cost = records.iter().map(Record::cost).sum();
        let (answer, ticket) = oneshot::channel();
        let mut state = self.lock();
        let refused = match state.closed {
            Some(Closed::DiskFull) => Some(Refused::DiskFull),
            Some(Closed::Failed) => Some(Refused::Failed),
            Some(Closed::Stopped) => Some(Refused::Stopped),
            None if self.is_beyond(&state, cost) => {
                Some(Refused::Busy { pending: state.pending, max: self.pending_max })
            }
            None => None,
        };
        if let Some(refused) = refused {
            state.refused += records.len() as u64;
            return Err(refused);
        }
        self.put(&mut state, Incoming::Awaited { records, answer }, cost);
        Ok(Ticket(ticket))
    }

    /// Takes the record, or counts it and says no.
    pub(crate) fn offer(&self, record: Record) -> bool {
        let cost = record.cost();
        let mut state = self.lock();
        let cause = match state.closed {
            Some(Closed::DiskFull) => DropCause::DiskFull,
            Some(Closed::Failed | Closed::Stopped) => {
                state.dropped += 1;
                return false;
            }
            None if self.is_beyond(&state, cost) => DropCause::QueueFull,
            None => {
                self.put(&mut state, Incoming::Offered(record), cost);
                return true;
            }
        };
        state.count_drop(record.source, record.scope, cause);
        false
    }

    /// One record may always enter, however long: else it never could.
    fn is_beyond(&self, state: &State, cost: u64) -> bool {
        state.pending > 0 && state.pending + cost > self.pending_max
    }

    fn put(&self, state: &mut State, incoming: Incoming, cost: u64) {
        let was_empty = state.incoming.is_empty();
        state.incoming.push(incoming);
        state.incoming_bytes += cost;
        state.pending += cost;
        if was_empty || state.incoming_bytes >= LINGER_BYTES {
            self.wake.notify_one();
        }
    }

    /// Waits for something to do, at most for `limit`, and takes all of it.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Work {
        let mut state = self.lock();
        let is_idle = |state: &mut State| state.incoming.is_empty() && state.commits.is_empty() && !state.stop_is_news;
        state = match limit {
            None => self.wake.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.wake.wait_timeout_while(state, limit, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if !state.incoming.is_empty() {
            let may_linger = |s: &mut State| s.commits.is_empty() && !s.stopping && s.incoming_bytes < LINGER_BYTES;
            state = self.wake.wait_timeout_while(state, LINGER, may_linger).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.incoming_bytes = 0;
        state.stop_is_news = false;
        Work {
            incoming: std::mem::take(&mut state.incoming),
            commits: std::mem::take(&mut state.commits),
            stopping: state.stopping,
        }
    }

    /// Tells the writer how a commit went.
    pub(crate) fn committed(&self, result: Result<Committed, CommitError>) {
        self.lock().commits.push(result);
        self.wake.notify_one();
    }

    /// Bytes that are durable, or given up.
    pub(crate) fn release(&self, cost: u64) {
        let mut state = self.lock();
        state.pending = state.pending.saturating_sub(cost);
    }

    /// Counts a record that entered and could not be stored.
    pub(crate) fn count_drop(&self, source: Source, scope: Option<Scope>, cause: DropCause) {
        self.lock().count_drop(source, scope, cause);
    }

    /// What was dropped and not said yet.
    pub(crate) fn take_drops(&self) -> Drops {
        std::mem::take(&mut self.lock().drops)
    }

    /// Says whether there are drops to be said.
    pub(crate) fn has_drops(&self) -> bool {
        !self.lock().drops.is_empty()
    }

    /// Closes the door, or opens it again after a full disk. What is closed for good stays so.
    pub(crate) fn set_closed(&self, closed: Option<Closed>) {
        let mut state = self.lock();
        if !matches!(state.closed, Some(Closed::Failed | Closed::Stopped)) {
            state.closed = closed;
        }
    }

    /// Takes no more, and lets the writer finish.
    pub(crate) fn stop(&self) {
        self.set_closed(Some(Closed::Stopped));
        let mut state = self.lock();
        state.stop_is_news = !state.stopping;
        state.stopping = true;
        drop(state);
        self.wake.notify_one();
    }

    pub(crate) fn stats(&self) -> InboxStats {
        let state = self.lock();
        InboxStats { pending: state.pending, dropped: state.dropped, refused: state.refused, closed: state.closed }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count_drop(&mut self, source: Source, scope: Option<Scope>, cause: DropCause) {
        self.dropped += 1;
        let mut stream = DropStream { source, scope, cause };
        if self.drops.len() >= DROP_STREAMS_MAX && !self.drops.contains_key(&stream) {
            stream = DropStream { source: Source::Node, scope: None, cause };
        }
        *self.drops.entry(stream).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use stdx::clock::Wall;

    fn record() -> Record {
        Record::text(Wall(1), Source::Router, Level::Info, "x".repeat(1000))
    }

    #[test]
    fn beyond_the_limit_an_offer_is_counted_and_an_ingest_is_refused() {
        let inbox = Inbox::new(3000);
        assert_eq!([inbox.offer(record()), inbox.offer(record()), inbox.offer(record())], [true, true, false]);
        assert!(matches!(inbox.ingest(vec![record()]), Err(Refused::Busy { max: 3000, .. })));
        assert_eq!(inbox.wait(None).incoming.len(), 2);
        assert!(!inbox.offer(record()), "what the writer holds still counts");
        inbox.release(2 * record().cost());
        assert!(inbox.offer(record()));
        let drops: Vec<_> = inbox.take_drops().into_iter().map(|(stream, count)| (stream.cause, count)).collect();
        assert_eq!(drops, [(DropCause::QueueFull, 2)]);
        assert_eq!((inbox.stats().dropped, inbox.stats().refused), (2, 1));
    }

    #[test]
    fn a_closed_door_says_why_and_opens_again_only_after_a_full_disk() {
        let inbox = Inbox::new(3000);
        inbox.set_closed(Some(Closed::DiskFull));
        assert_eq!(inbox.ingest(vec![record()]).unwrap_err(), Refused::DiskFull);
        assert!(!inbox.offer(record()));
        inbox.set_closed(None);
        assert!(inbox.offer(record()));
        inbox.set_closed(Some(Closed::Failed));
        inbox.set_closed(None);
        assert_eq!(inbox.ingest(vec![record()]).unwrap_err(), Refused::Failed);
        assert!(!inbox.offer(record()));
    }

    #[test]
    fn streams_that_lose_records_are_counted_apart_up_to_a_limit() {
        let inbox = Inbox::new(1);
        assert!(inbox.offer(record()));
        for app in 0..100 {
            let scope = Scope::production(format!("app-{app}").parse().unwrap());
            assert!(!inbox.offer(Record { scope: Some(scope), ..record() }));
        }
        let drops = inbox.take_drops();
        assert_eq!(drops.len(), DROP_STREAMS_MAX + 1);
        assert_eq!(drops.values().sum::<u64>(), 100);
    }
}
