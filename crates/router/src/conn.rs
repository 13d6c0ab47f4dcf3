//! One client connection as its timers see it. Whoever moves the connection notes what it waits for; the worker's sweep
//! looks once a tick and ends what has waited too long. That spares a timer per request.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use http::HeaderValue;

use crate::edge::Secured;

/// Ticks of the worker's sweep; wraps around.
pub(crate) type Tick = u32;

/// What the connection waits for from its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// The next request.
    Request,
    /// The rest of a request's head.
    Head,
    /// The next piece of a request's content.
    Content,
    /// Nothing: a request is being worked on.
    Nothing,
}

/// Why the sweep ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// No next request in time.
    Idle,
    /// A head begun and not finished in time: 408.
    Head,
    /// The client does not take its reply.
    Write,
    /// It has closed its side, and its reply does not go on, by which it would show whether it is still there.
    Gone,
    /// The router stops and cannot wait any longer.
    Cut,
}

/// How many ticks each wait may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) idle: Tick,
    pub(crate) head: Tick,
    pub(crate) content: Tick,
    pub(crate) reply: Tick,
    pub(crate) write: Tick,
    /// For a reply that does not go on, of a client that may be gone.
    pub(crate) half_closed: Tick,
}

/// The shared state of one client connection's parts: its socket, its requests, its sweep.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) peer: SocketAddr,
    /// What it connected to, where that is known.
    pub(crate) local: Option<SocketAddr>,
    /// The client's address as `X-Forwarded-For` gives it.
    pub(crate) peer_value: HeaderValue,
    pub(crate) trusted: bool,
    /// It has TLS.
    pub(crate) secured: Option<Rc<Secured>>,
    /// Set when a reply was sent although content was unread: what still comes is read away before closing.
    pub(crate) linger: Cell<bool>,
    now: Rc<Cell<Tick>>,
    waits: Cell<Waits>,
    waits_since: Cell<Tick>,
    write_blocked: Cell<Option<Tick>>,
    expired: Cell<Option<Expiry>>,
    content_late: Cell<bool>,
    /// Since when the endpoint has been waited for to go on with its reply.
    reply_awaited: Cell<Option<Tick>>,
    reply_late: Cell<bool>,
    half_closed: Cell<bool>,
    task: RefCell<Option<Waker>>,
    content_task: RefCell<Option<Waker>>,
}

impl Conn {
    /// A connection with its two ends, the client's first.
    pub(crate) fn new(
        (peer, local): (SocketAddr, Option<SocketAddr>),
        trusted: bool,
        secured: Option<Rc<Secured>>,
        now: Rc<Cell<Tick>>,
    ) -> Conn {
        let peer_value = HeaderValue::from_str(&peer.ip().to_canonical().to_string());
        Conn {
            peer,
            local,
            peer_value: peer_value.unwrap_or(HeaderValue::from_static("unknown")),
            trusted,
            secured,
            linger: Cell::new(false),
            waits: Cell::new(Waits::Head),
            waits_since: Cell::new(now.get()),
            now,
            write_blocked: Cell::new(None),
            expired: Cell::new(None),
            content_late: Cell::new(false),
            reply_awaited: Cell::new(None),
            reply_late: Cell::new(false),
            half_closed: Cell::new(false),
            task: RefCell::new(None),
            content_task: RefCell::new(None),
        }
    }

    /// The timers of one request of many on this connection.
    pub(crate) fn of_request(&self) -> Conn {
        let conn = Conn::new((self.peer, self.local), self.trusted, self.secured.clone(), Rc::clone(&self.now));
        conn.request_begins();
        conn
    }

    /// What `X-Forwarded-Proto` says of it.
    pub(crate) fn proto(&self) -> &'static str {
        if self.secured.is_some() { "https" } else { "http" }
    }

    fn wait_for(&self, what: Waits) {
        self.waits.set(what);
        self.waits_since.set(self.now.get());
    }

    /// Bytes came from the client while no request was worked on.
    pub(crate) fn head_begins(&self) {
        // A head has one time for all of it.
        if self.waits.get() == Waits::Request {
            self.wait_for(Waits::Head);
        }
    }

    /// The client sends nothing more; it may be gone altogether.
    pub(crate) fn half_closes(&self) {
        self.half_closed.set(true);
    }

    /// Whether the client sends nothing more.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed.get()
    }

    /// The client takes no more bytes for now.
    pub(crate) fn write_is_blocked(&self) {
        if self.write_blocked.get().is_none() {
            self.write_blocked.set(Some(self.now.get()));
        }
    }

    /// The client took bytes.
    pub(crate) fn wrote(&self) {
        self.write_blocked.set(None);
    }

    /// A request's head is complete.
    pub(crate) fn request_begins(&self) {
        self.wait_for(Waits::Nothing);
    }

    /// A reply has come to its end. `pipelined`: something of the next request is there already.
    pub(crate) fn request_ends(&self, pipelined: bool) {
        self.got_reply();
        self.wait_for(if pipelined { Waits::Head } else { Waits::Request });
    }

    /// Somebody wants the next piece of a request's content and it has not come.
    pub(crate) fn wants_content(&self, waker: &Waker) {
        keep(&self.content_task, waker);
        if self.waits.get() != Waits::Content {
            self.wait_for(Waits::Content);
        }
    }

    /// A piece of content came, or its end.
    pub(crate) fn got_content(&self) {
        if self.waits.get() == Waits::Content {
            self.wait_for(Waits::Nothing);
        }
    }

    /// Whether the wanted piece of content is overdue.
    pub(crate) fn content_is_late(&self) -> bool {
        self.content_late.get()
    }

    /// The next piece of an endpoint's reply has not come. When it is overdue the connection's task is woken.
    pub(crate) fn wants_reply(&self) {
        if self.reply_awaited.get().is_none() {
            self.reply_awaited.set(Some(self.now.get()));
        }
    }

    /// A piece of the reply came, or its end.
    pub(crate) fn got_reply(&self) {
        self.reply_awaited.set(None);
        self.reply_late.set(false);
    }

    /// Whether the wanted piece of the reply is overdue.
    pub(crate) fn reply_is_late(&self) -> bool {
        self.reply_late.get()
    }

    /// Why the connection must end now, if it must; otherwise its task is woken when it must.
    pub(crate) fn poll_expired(&self, waker: &Waker) -> Option<Expiry> {
        keep(&self.task, waker);
        self.expired.get()
    }

    /// Ends the connection.
    pub(crate) fn expire(&self, why: Expiry) {
        self.expired.set(Some(why));
        self.wake();
    }

    /// Makes the connection's task look at the world again.
    pub(crate) fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }

    /// Looks, once a tick, whether the client or the endpoint has been waited for too long.
    pub(crate) fn sweep(&self, patience: &Patience) {
        let now = self.now.get();
        let waited = now.wrapping_sub(self.waits_since.get());
        if self.write_blocked.get().is_some_and(|since| now.wrapping_sub(since) > patience.write) {
            return self.expire(Expiry::Write);
        }
        if self.reply_awaited.get().is_some_and(|since| now.wrapping_sub(since) > patience.reply) {
            self.reply_late.set(true);
            self.wake();
        }
        if self.half_closed.get() {
            let silent = |since| now.wrapping_sub(since) > patience.half_closed;
            if self.reply_awaited.get().is_some_and(silent) {
                return self.expire(Expiry::Gone);
            }
            // Whether it is there shows by what the kernel says of the last thing that was sent.
            self.wake();
        }
        match self.waits.get() {
            Waits::Request if waited > patience.idle => self.expire(Expiry::Idle),
            Waits::Head if waited > patience.head => self.expire(Expiry::Head),
            Waits::Content if waited > patience.content => {
                self.content_late.set(true);
                if let Some(task) = self.content_task.borrow_mut().take() {
                    task.wake();
                }
            }
            _ => {}
        }
    }
}

fn keep(slot: &RefCell<Option<Waker>>, waker: &Waker) {
    let mut slot = slot.borrow_mut();
    if !slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}
