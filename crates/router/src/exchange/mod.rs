//! One request's facts on their way from the head to the access record.

mod aside;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use stdx::clock::Mono;
use stdx::trace::TraceContext;

pub(crate) use self::aside::Learned;
use crate::access::{AccessRecord, Agent, Event, Outcome, TARGET_BYTES_MAX, Try, TryKind, What};
use crate::body::Meter;
use crate::capacity::Taken;
use crate::compress::Wish;
use crate::conn::Conn;
use crate::fields::FieldSet;
use crate::fragments::{self, Page, Slot};
use crate::idempotency::Hash;
use crate::own_writes::Need;
use crate::reply::ReplyFault;
use crate::rescue::Failure;
use crate::route::Routed;
use crate::snapshot::Target;
use crate::tracing_context::{self, Traced};
use crate::treatment::Treatment;
use crate::worker::Worker;

/// What stands in a record while there is no reply: the client left before it.
const CLIENT_GONE: u16 = 499;

/// Stands for the hash of content that is not there.
const NO_CONTENT: Hash = [0; 32];

/// Carried from the gate to the reply's last byte; when it is dropped, wherever that is, the record goes out.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) worker: Rc<Worker>,
    pub(crate) conn: Rc<Conn>,
    pub(crate) traced: Traced,
    pub(crate) meter: Rc<Meter>,
    /// What a read's endpoint must have.
    pub(crate) need: Option<Box<Need>>,
    /// The request has content of its own; then the meter is its own too.
    pub(crate) has_content: bool,
    /// What it holds because its route asks for something.
    pub(crate) taken: Taken,
    /// It has come by TLS; looked at only where the route asks for that.
    pub(crate) secure: bool,
    /// How its reply may be compressed, where the route asks for that.
    pub(crate) compress: Option<Box<Wish>>,
    /// Which of its route's users asks.
    pub(crate) user: Option<Box<HeaderValue>>,
    /// How its page is put together, where its route asks for that.
    pub(crate) fragments: Option<Box<Page>>,
    /// It is no client's: a page waits for it as one of its fragments.
    pub(crate) fragment: Option<Rc<Slot>>,
    /// What its client asks for, where its route keeps answers and asks the application for something else.
    pub(crate) address: Option<Box<str>>,
    /// Where its client is sent instead.
    pub(crate) location: Option<Box<HeaderValue>>,
    started: Mono,
    deadline: Mono,
    route: Option<Routed>,
    record: Option<Box<AccessRecord>>,
    /// It is no client's own: its record goes nowhere.
    aside: bool,
}

impl Exchange {
    /// A request whose head has arrived.
    pub(crate) fn begin(worker: &Rc<Worker>, conn: &Rc<Conn>, head: &Parts, set: FieldSet) -> Exchange {
        let traced = tracing_context::decide(&head.headers, set, conn.trusted, &mut worker.rng.borrow_mut());
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let started = worker.now();
        let mut record = record(worker, conn, &traced, Some(head.method.clone()), cut(target));
        if worker.wants_agents {
            // Copied: a record outlives the buffer that a head was read into.
            let field = |name| HeaderValue::from_bytes(head.headers.get(name)?.as_bytes()).ok();
            record.agent = Some(Box::new(Agent { user: None, referer: field(REFERER), user_agent: field(USER_AGENT) }));
        }
        Exchange {
            worker: Rc::clone(worker),
            conn: Rc::clone(conn),
            meter: Rc::clone(&worker.no_content),
            need: None,
            has_content: false,
            taken: Taken::default(),
            secure: false,
            compress: None,
            user: None,
            fragments: None,
            fragment: None,
            address: None,
            location: None,
            started,
            deadline: started,
            route: None,
            record: Some(Box::new(record)),
            aside: false,
            traced,
        }
    }

    /// A head that could not be read: only its record is left to write.
    pub(crate) fn unreadable(worker: &Rc<Worker>, conn: &Rc<Conn>, status: StatusCode, cause: String) -> TraceContext {
        let context = TraceContext::new_root(&mut worker.rng.borrow_mut());
        let traced = Traced { context, parent: None, link: None };
        let mut record = record(worker, conn, &traced, None, "");
        record.status = status.as_u16();
        record.cause = Some(cause);
        record.whole = true;
        worker.record(record);
        context
    }

    /// The request's way is known; its deadline counts from its arrival, and a nearer one of a trusted peer holds.
    pub(crate) fn routed(&mut self, host: &str, routed: &Routed, asked: Option<Duration>) {
        let allowed = routed.policy.deadline;
        self.deadline = self.started + asked.map_or(allowed, |asked| asked.min(allowed));
        self.route = Some(routed.clone());
        if let Some(record) = &mut self.record {
            record.host = host.into();
            record.route = Some(Arc::clone(&routed.facts));
        }
    }

    /// When it must have been answered.
    pub(crate) fn deadline(&self) -> Mono {
        self.deadline
    }

    /// The time until the deadline.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn time_left(&self, now: Mono) -> Result<Duration, Failure> {
        let left = self.deadline.since(now);
        if left.is_zero() { Err(Failure::Deadline) } else { Ok(left) }
    }

    /// Notes a try that has just ended.
    pub(crate) fn tried(&mut self, target: &Target, kind: TryKind, began: Mono, outcome: Outcome) {
        let (at, took) = (began.since(self.started), self.worker.now().since(began));
        target.endpoint.figures.tried(outcome, took);
        if let Some(route) = &self.route {
            route.state.figures.tried(kind);
        }
        if let Some(record) = &mut self.record {
            record.tries.push(Try { target: Arc::clone(&target.facts), kind, outcome, at, took });
        }
    }

    /// Notes what decided about the request at this moment.
    pub(crate) fn note(&mut self, what: What) {
        let at = self.worker.now().since(self.started);
        if let Some(route) = &self.route {
            route.state.figures.noted(&what);
        }
        if let Some(record) = &mut self.record {
            record.events.push(Event { at, what });
        }
    }

    /// Whether an endpoint has been tried, or need not be.
    pub(crate) fn has_tried(&self, target: &Target) -> bool {
        let same = |one: &Try| one.target.addr == target.facts.addr && one.target.release == target.facts.release;
        !self.suits(target) || self.record.as_ref().is_some_and(|record| record.tries.iter().any(same))
    }

    /// Whether an endpoint has what its client wrote.
    pub(crate) fn suits(&self, target: &Target) -> bool {
        self.need.as_ref().is_none_or(|need| need.is_met_by(target))
    }

    /// How long it has been held.
    pub(crate) fn held(&self) -> Duration {
        self.record.as_ref().map_or(Duration::ZERO, |record| record.held)
    }

    /// One of its route's users asks.
    pub(crate) fn user_is(&mut self, name: HeaderValue) {
        if let Some(agent) = self.record.as_mut().and_then(|record| record.agent.as_mut()) {
            agent.user = Some(name.clone());
        }
        self.user = Some(Box::new(name));
    }

    /// Notes time spent waiting for an endpoint.
    pub(crate) fn add_held(&mut self, time: Duration) {
        if let Some(record) = &mut self.record {
            record.held += time;
        }
    }

    /// The head of the reply is decided; `cause` when the router itself answers.
    pub(crate) fn replies(&mut self, status: StatusCode, cause: Option<&Failure>) {
        let took = self.worker.now().since(self.started);
        if let Some(record) = &mut self.record {
            record.status = status.as_u16();
            record.cause = cause.map(ToString::to_string);
            // Zero stands for no reply.
            record.to_head = took.max(Duration::from_nanos(1));
        }
    }

    /// What the client is told of the times, where its route wants that; the head of the reply is decided.
    pub(crate) fn server_timing(&self) -> Option<HeaderValue> {
        let (route, record) = (self.route.as_ref()?, self.record.as_ref()?);
        if !route.policy.server_timing {
            return None;
        }
        HeaderValue::try_from(server_timing(record)).ok()
    }

    /// What browsers are told of TLS, where the route wants that.
    pub(crate) fn hsts(&self) -> Option<&HeaderValue> {
        let https = self.route.as_ref()?.policy.https.as_ref()?;
        https.hsts.as_ref().filter(|_| self.secure)
    }

    /// What is done with its replies, where the route wants something done.
    pub(crate) fn treatment(&self) -> Option<&Treatment> {
        self.route.as_ref()?.policy.treatment.as_deref()
    }

    /// Whether a reply with these fields may have fragments: its route says so.
    pub(crate) fn may_nest(&self, headers: &HeaderMap) -> bool {
        let rule = self.route.as_ref().and_then(|route| route.policy.fragments.as_ref());
        rule.is_some_and(|rule| fragments::is_page(rule, headers))
    }

    /// Content of the reply went out.
    pub(crate) fn add_reply_bytes(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.reply_bytes += bytes as u64;
        }
    }

    /// The endpoint did not bring its reply to an end.
    pub(crate) fn breaks_off(&mut self, why: &ReplyFault) {
        if let Some(record) = &mut self.record {
            record.cause = Some(why.to_string());
        }
    }

    /// The reply came to its end.
    pub(crate) fn ends(&mut self) {
        if let Some(record) = &mut self.record {
            record.whole = true;
        }
    }

    /// The hash of the request's content, if it was read to its end and somebody asked for the hash; once.
    pub(crate) fn content_digest(&self) -> Option<Hash> {
        match self.has_content {
            false => Some(NO_CONTENT),
            true if self.content_unread() => None,
            true => self.meter.hash(),
        }
    }

    /// Whether content of the request is still unread.
    pub(crate) fn content_unread(&self) -> bool {
        self.has_content && !self.meter.ended.get()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take().filter(|_| !self.aside) {
            record.total = self.worker.now().since(self.started).max(record.to_head);
            record.request_bytes = self.meter.bytes.get();
            if let Some(route) = &self.route {
                route.state.answered(record.status);
                if !record.to_head.is_zero() {
                    route.state.figures.latency.observe(record.to_head);
                }
            }
            self.worker.record(*record);
        }
    }
}

/// `Server-Timing` (W3C): milliseconds from head to head, at the endpoint that answered, and held before it.
fn server_timing(record: &AccessRecord) -> String {
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let mut text = format!("total;dur={}", ms(record.to_head));
    if let Some(one) = record.decisive() {
        text.push_str(&format!(", endpoint;dur={}, tries;desc=\"{}\"", ms(one.took), record.tries.len()));
    }
    if !record.held.is_zero() {
        text.push_str(&format!(", held;dur={}", ms(record.held)));
    }
    text
}

fn record(worker: &Worker, conn: &Conn, traced: &Traced, method: Option<Method>, target: &str) -> AccessRecord {
    AccessRecord {
        time: worker.wall(),
        trace: traced.context,
        parent: traced.parent,
        link: traced.link,
        client: conn.peer,
        method,
        host: Box::default(),
        target: target.into(),
        agent: None,
        route: None,
        status: CLIENT_GONE,
        cause: None,
        tries: Vec::new(),
        events: Vec::new(),
        held: Duration::ZERO,
        to_head: Duration::ZERO,
        total: Duration::ZERO,
        request_bytes: 0,
        reply_bytes: 0,
        whole: false,
    }
}

fn cut(target: &str) -> &str {
    // A target that the gate lets in is ASCII; one that it refuses may not be.
    let mut end = target.len().min(TARGET_BYTES_MAX);
    while !target.is_char_boundary(end) {
        end -= 1;
    }
    &target[..end]
}
