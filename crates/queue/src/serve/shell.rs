//! What the tasks of the queue's thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control::plane::PlaneStatus;
use stdx::clock::{Mono, SharedClock};
use stdx::io::Io;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use wal::{CommitError, CommitThread, Committed, Committer};

use super::stream::Stream;
use crate::broker::Broker;
use crate::engine::{ClientId, Now};
use crate::names::Namespace;
use crate::steady::Steady;
use crate::tls::Tls;

/// What the committer's thread reports.
pub(super) type Results = mpsc::UnboundedReceiver<Result<Committed, CommitError>>;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 << 10;

/// How long the last batch may take when the plane stops; a full disk never takes it.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// The state, the sockets, and the ways to wake each other.
pub(super) struct Shell<D: Io> {
    pub(super) broker: RefCell<Broker<D>>,
    pub(super) clock: SharedClock,
    steady: Cell<Steady>,
    /// The wall clock was set, and nobody has noted it yet.
    clock_was_set: Cell<bool>,
    pub(super) status: PlaneStatus,
    pub(super) tls: Option<Arc<Tls>>,
    peers: RefCell<Vec<Option<Peer>>>,
    /// Who holds the jobs that were reserved by callers within the process, per namespace.
    keepers: RefCell<HashMap<Namespace, ClientId>>,
    pub(super) connections: Cell<u32>,
    /// Bytes of bodies that are being received, and how many may be.
    pub(super) receiving: Cell<usize>,
    pub(super) receiving_max: usize,
    pub(super) read_buffer: RefCell<Vec<u8>>,
    pub(super) commit_thread: RefCell<Option<CommitThread>>,
    /// Whether the committer has nothing to do.
    pub(super) committer_idle: Cell<bool>,
    /// There may be a batch to commit.
    pub(super) commit: Notify,
    /// A batch was committed: there is room for more, and who waits for the end looks again.
    pub(super) committed: Notify,
    /// Something is due earlier than the timer knows.
    pub(super) timer: Notify,
    /// When the timer will look next.
    pub(super) timer_at: Cell<Mono>,
    pub(super) stopping: Cell<bool>,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
enum Peer {
    Socket(Rc<Socket>),
    /// Somebody within the process, to be woken when there is an answer.
    Visit(Rc<Notify>),
}

/// One connection's socket.
pub(super) struct Socket {
    pub(super) stream: Stream,
    /// Wakes the connection's task.
    pub(super) wake: Notify,
    /// The task waits for its output or its job, not only for input.
    pub(super) wants_wake: Cell<bool>,
    /// The client has answers to take that it did not take when they were last offered.
    pub(super) unsent: Cell<bool>,
    /// Writing failed.
    pub(super) broken: Cell<bool>,
    /// Since when the client takes nothing although there is something for it.
    pub(super) blocked_since: Cell<Option<Instant>>,
}

impl<D: Io> Shell<D> {
    pub(super) fn new(
        mut broker: Broker<D>,
        committer: Committer<D>,
        tls: Option<Arc<Tls>>,
        clock: SharedClock,
        status: PlaneStatus,
    ) -> io::Result<(Rc<Shell<D>>, Results)> {
        let (report, results) = mpsc::unbounded_channel();
        let thread = CommitThread::spawn("queue-commit", committer, move |result| {
            if report.send(result).is_err() {
                tracing::debug!("a batch was committed after the queue's thread had ended");
            }
        })?;
        let mut steady = Steady::new(&*clock, broker.clock_ahead_ms());
        let (mono, wall, _) = steady.look(&*clock);
        broker.started(Now { mono, wall });
        let receiving_max = broker.config().input_bytes_max;
        let shell = Rc::new(Shell {
            broker: RefCell::new(broker),
            clock,
            steady: Cell::new(steady),
            clock_was_set: Cell::new(false),
            status,
            tls,
            peers: RefCell::new(Vec::new()),
            keepers: RefCell::new(HashMap::new()),
            connections: Cell::new(0),
            receiving: Cell::new(0),
            receiving_max,
            read_buffer: RefCell::new(vec![0; READ_BYTES]),
            commit_thread: RefCell::new(Some(thread)),
            committer_idle: Cell::new(true),
            commit: Notify::new(),
            committed: Notify::new(),
            timer: Notify::new(),
            timer_at: Cell::new(Mono(u64::MAX)),
            stopping: Cell::new(false),
        });
        Ok((shell, results))
    }

    pub(super) fn now(&self) -> Now {
        let mut steady = self.steady.get();
        let (mono, wall, jumped) = steady.look(&*self.clock);
        self.steady.set(steady);
        if jumped {
            self.clock_was_set.set(true);
        }
        Now { mono, wall }
    }

    /// How far the wall clock is ahead, if it was set since the last call.
    pub(super) fn take_clock_set(&self) -> Option<i64> {
        self.clock_was_set.take().then(|| self.steady.get().ahead_ms())
    }

    /// A new connection takes its place.
    pub(super) fn open(&self, stream: Stream) -> (ClientId, Rc<Socket>) {
        let id = self.broker.borrow_mut().connect();
        let socket = Rc::new(Socket {
            stream,
            wake: Notify::new(),
            wants_wake: Cell::new(false),
            unsent: Cell::new(false),
            broken: Cell::new(false),
            blocked_since: Cell::new(None),
        });
        self.seat(id, Peer::Socket(Rc::clone(&socket)));
        (id, socket)
    }

    /// Somebody within the process takes a place in a namespace.
    pub(super) fn let_in(&self, namespace: &Namespace) -> (ClientId, Rc<Notify>) {
        let id = self.broker.borrow_mut().connect_to(namespace);
        let wake = Rc::new(Notify::new());
        self.seat(id, Peer::Visit(Rc::clone(&wake)));
        (id, wake)
    }

    fn seat(&self, id: ClientId, peer: Peer) {
        let mut peers = self.peers.borrow_mut();
        let ix = id.0 as usize;
        if peers.len() <= ix {
            peers.resize(ix + 1, None);
        }
        peers[ix] = Some(peer);
    }

    /// Who holds jobs for callers of a namespace; it never leaves.
    pub(super) fn keeper(&self, namespace: &Namespace) -> ClientId {
        if let Some(&keeper) = self.keepers.borrow().get(namespace) {
            return keeper;
        }
        let (keeper, _) = self.let_in(namespace);
        self.keepers.borrow_mut().insert(namespace.clone(), keeper);
        keeper
    }

    /// A connection leaves its place.
    pub(super) fn close(&self, id: ClientId) {
        self.peers.borrow_mut()[id.0 as usize] = None;
        self.broker.borrow_mut().disconnect(id, self.now());
        self.after_change();
    }

    /// After anything that may have changed the state: sends what may be sent, and wakes whom it concerns.
    pub(super) fn after_change(&self) {
        self.flush();
        let mut broker = self.broker.borrow_mut();
        if self.committer_idle.get() && broker.has_batch() {
            self.commit.notify_one();
        }
        for id in broker.take_resumed() {
            self.wake(id);
        }
        let now = self.now();
        if let Some(idle) = broker.idle_for(now)
            && now.mono + idle < self.timer_at.get()
        {
            self.timer.notify_one();
        }
    }

    /// Sends all output that may leave: one write per connection.
    pub(super) fn flush(&self) {
        let dirty = self.broker.borrow_mut().take_dirty();
        for &id in &dirty {
            let peer = self.peers.borrow()[id.0 as usize].clone();
            match peer {
                Some(Peer::Socket(socket)) => {
                    self.send(id, &socket);
                    if socket.wants_wake.get() {
                        socket.wake.notify_one();
                    }
                }
                Some(Peer::Visit(wake)) => wake.notify_one(),
                None => {}
            }
        }
        self.broker.borrow_mut().recycle_dirty(dirty);
    }

    /// Sends what one connection may be sent, as far as its socket takes it.
    pub(super) fn send(&self, id: ClientId, socket: &Socket) {
        let mut broker = self.broker.borrow_mut();
        loop {
            let output = broker.output(id);
            let sent = if output.is_empty() { socket.stream.try_flush() } else { socket.stream.try_write(output) };
            match sent {
                Ok(0) if output.is_empty() => {
                    socket.unsent.set(false);
                    return;
                }
                Ok(bytes) => {
                    broker.sent(id, bytes);
                    socket.blocked_since.set(None);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    socket.unsent.set(true);
                    socket.blocked_since.set(socket.blocked_since.get().or_else(|| Some(Instant::now())));
                    socket.wake.notify_one();
                    return;
                }
                Err(_) => {
                    socket.broken.set(true);
                    socket.wake.notify_one();
                    return;
                }
            }
        }
    }

    /// Whether the connection has taken enough of its answers to get more.
    pub(super) fn has_room(&self, id: ClientId) -> bool {
        let broker = self.broker.borrow();
        broker.output_len(id) < broker.config().connection_output_bytes_max
    }

    fn wake(&self, id: ClientId) {
        if let Some(Some(Peer::Socket(socket))) = self.peers.borrow().get(id.0 as usize)
            && socket.wants_wake.get()
        {
            socket.wake.notify_one();
        }
    }

    /// Everything appended goes to disk, then the committer ends.
    pub(super) async fn finish(&self) {
        self.stopping.set(true);
        self.commit.notify_one();
        let drained = async {
            while !(self.committer_idle.get() && self.broker.borrow().is_drained()) {
                self.committed.notified().await;
            }
        };
        if tokio::time::timeout(FINISH_MAX, drained).await.is_err() {
            tracing::error!("the queue stops although its last records are not on disk; none of them was acknowledged");
        }
        self.flush();
        let thread = self.commit_thread.borrow_mut().take();
        if let Some(thread) = thread {
            thread.stop();
        }
    }
}
