//! From a scan's thread, which may block, to its reader, which may not: a few messages wait between them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use control::wire::LogRow;
use stdx::clock::{Mono, SharedClock};
use tokio::sync::Notify;

use crate::error::QueryError;
use crate::tail::TailReader;

/// Messages that wait for the reader.
const MESSAGES_MAX: usize = 4;

/// What a scan sends.
pub(crate) enum Message {
    Rows(Vec<LogRow>),
    /// The scan has come to the present; the rest comes from here.
    Tail(TailReader),
    Failed(QueryError),
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    /// The writer waits for room since then.
    blocked: Option<Mono>,
    is_reader_gone: bool,
    is_writer_gone: bool,
    /// Why the writer must end, whatever the reader does.
    evicted: Option<QueryError>,
}

pub(crate) struct Pipe {
    clock: SharedClock,
    state: Mutex<State>,
    room: Condvar,
    ready: Notify,
}

/// The scan's end.
pub(crate) struct PipeWriter(Arc<Pipe>);

/// The reader's end.
pub(crate) struct PipeReader(Arc<Pipe>);

pub(crate) fn pipe(clock: SharedClock) -> (PipeWriter, PipeReader) {
    let pipe = Arc::new(Pipe { clock, state: Mutex::default(), room: Condvar::new(), ready: Notify::new() });
    (PipeWriter(Arc::clone(&pipe)), PipeReader(pipe))
}

impl Pipe {
    /// Since when the writer waits for its reader.
    pub(crate) fn blocked(&self) -> Option<Mono> {
        self.lock().blocked
    }

    /// Ends the query for a reason that its reader is told.
    pub(crate) fn evict(&self, why: QueryError) {
        self.lock().evicted = Some(why);
        self.room.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PipeWriter {
    pub(crate) fn shared(&self) -> &Arc<Pipe> {
        &self.0
    }

    /// Now, on the clock that blocked writers are measured by.
    pub(crate) fn now(&self) -> Mono {
        self.0.clock.mono()
    }

    /// Sends a message when there is room, unless nobody wants it any more.
    pub(crate) fn send(&self, message: Message) {
        let mut state = self.0.lock();
        if state.messages.len() >= MESSAGES_MAX {
            state.blocked = Some(self.0.clock.mono());
            let must_wait =
                |s: &mut State| s.messages.len() >= MESSAGES_MAX && !s.is_reader_gone && s.evicted.is_none();
            state = self.0.room.wait_while(state, must_wait).unwrap_or_else(PoisonError::into_inner);
            state.blocked = None;
        }
        if state.is_reader_gone || state.evicted.is_some() {
            return;
        }
        state.messages.push_back(message);
        drop(state);
        self.0.ready.notify_one();
    }

    /// Sends the last message, whether there is room or not.
    pub(crate) fn end_with(&self, message: Message) {
        let mut state = self.0.lock();
        if !state.is_reader_gone {
            state.messages.push_back(message);
        }
        drop(state);
        self.0.ready.notify_one();
    }

    /// Says whether somebody still reads.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.0.lock();
        !state.is_reader_gone && state.evicted.is_none()
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_writer_gone = true;
        let why = if std::thread::panicking() { Some(QueryError::Failed) } else { state.evicted.take() };
        state.messages.extend(why.map(Message::Failed));
        drop(state);
        self.0.ready.notify_one();
    }
}

impl PipeReader {
    /// The next message; `None` when the scan has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(message) = state.messages.pop_front() {
                    self.0.room.notify_one();
                    return Some(message);
                }
                if state.is_writer_gone {
                    return None;
                }
            }
            self.0.ready.notified().await;
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_reader_gone = true;
        // A tail in here would keep its place among the listeners.
        state.messages.clear();
        drop(state);
        self.0.room.notify_one();
    }
}
