//! One try: a connection to an endpoint, the request on it, the head of the reply.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::Response;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http_body_util::BodyExt;
use stdx::clock::Mono;

use crate::access::{Outcome, Strike, StrikeEnd};
use crate::alarm;
use crate::body::{ClientBody, ContentFault};
use crate::capacity::{self, Visit};
use crate::deadline::{self, Left};
use crate::endpoint::InFlight;
use crate::exchange::Exchange;
use crate::fields::{self, Client, FieldSet, Origin};
use crate::h1::{Asked, Fault, ReplyContent};
use crate::hop::Hop;
use crate::kept::{KeepLimits, Kept};
use crate::retry::{self, Repeat};
use crate::snapshot::Target;
use crate::tracing_context::{self, Traced};
use crate::worker::Worker;

/// A request as endpoints get it. Tries share it: one that has no content may be under way to several at once.
#[derive(Debug)]
pub(crate) struct Outbound {
    worker: Rc<Worker>,
    idempotent: bool,
    /// Whether a second try may be under way beside a first.
    hedged: bool,
    grpc_timeout: bool,
    traced: Traced,
    /// The client, unless the head tells about it already.
    client: Option<Origin>,
    head: Parts,
    content: Content,
}

#[derive(Debug)]
enum Content {
    None,
    /// Gone once a byte of it has left.
    Once(RefCell<Option<ClientBody>>),
    Kept(Kept),
}

/// An endpoint's reply, and what it hangs on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<ReplyContent>,
    pub(crate) in_flight: InFlight,
}

/// How long a try may take, and what it meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TryTime {
    /// To the head of its reply.
    pub(crate) head: Duration,
    /// To the end of the request's deadline, which the endpoint is told.
    pub(crate) deadline: Duration,
    /// A fault that was set by hand.
    pub(crate) fault: Option<Strike>,
}

impl Outbound {
    /// Turns a client's head into an endpoint's: hop-by-hop fields out, where it came from and its trace in.
    pub(crate) fn new(mut head: Parts, content: ClientBody, set: FieldSet, exchange: &Exchange) -> Outbound {
        let Exchange { worker, conn, traced, .. } = exchange;
        fields::strip_hop_by_hop(&mut head.headers, set);
        if set.expect {
            // The client is told to go on when the endpoint begins to read.
            head.headers.remove(header::EXPECT);
        }
        if set.ours && !conn.trusted {
            fields::remove_all(&mut head.headers, fields::is_ours);
        }
        if let Some(secured) = &conn.secured {
            secured.write(&mut head.headers);
        }
        let proto = conn.proto();
        let client = Client { addr: &conn.peer_value, trusted: conn.trusted, proto };
        let said_nothing = fields::forwarded(&mut head.headers, set, client);
        let client = said_nothing.then(|| Origin { addr: conn.peer_value.clone(), proto });
        tracing_context::remove(&mut head.headers, set, traced);
        // Each try says how long it may take.
        deadline::remove(&mut head.headers, set);
        let idempotent = retry::is_idempotent(&head.method);
        let content = match content {
            ClientBody::Empty => Content::None,
            some => Content::Once(RefCell::new(Some(some))),
        };
        Outbound {
            worker: Rc::clone(worker),
            idempotent,
            hedged: true,
            grpc_timeout: set.grpc_timeout,
            traced: *traced,
            client,
            head,
            content,
        }
    }

    pub(crate) fn head(&self) -> &Parts {
        &self.head
    }

    /// It carries a key by which it has one effect however often it is sent, beside each other only where the application
    /// sees to that.
    pub(crate) fn repeat_by_key(&mut self, app_honours_key: bool) {
        self.idempotent = true;
        self.hedged = app_honours_key;
    }

    /// Reads content that no endpoint is to get.
    ///
    /// # Errors
    /// When it does not come whole.
    pub(crate) async fn read_away(&mut self) -> Result<(), ContentFault> {
        let Content::Once(content) = &self.content else { return Ok(()) };
        if let Some(mut content) = content.take() {
            while let Some(frame) = content.frame().await {
                frame?;
            }
        }
        Ok(())
    }

    /// Keeps the content from here on, if the request may ever be repeated.
    pub(crate) fn keep_content(&mut self, worker: &Worker, rule: &retry::Rule) {
        let Content::Once(content) = &mut self.content else { return };
        if !self.idempotent || rule.keep == KeepLimits::default() {
            return;
        }
        match content.take() {
            Some(ClientBody::Stream(stream)) => {
                self.content = Content::Kept(Kept::new(stream, rule.keep, &worker.shared.room));
            }
            other => *content.get_mut() = other,
        }
    }

    /// Whether another try is harmless, as far as is known now.
    pub(crate) fn repeat(&self) -> Repeat {
        let again = match &self.content {
            Content::None => self.idempotent,
            Content::Once(_) => false,
            Content::Kept(kept) => self.idempotent && kept.is_kept(),
        };
        if again { Repeat::Harmless } else { Repeat::Never }
    }

    /// Whether two tries can be under way beside each other.
    pub(crate) fn is_shareable(&self) -> bool {
        match &self.content {
            Content::None => self.idempotent && self.hedged,
            Content::Once(_) => false,
            Content::Kept(kept) => self.idempotent && self.hedged && kept.is_whole(),
        }
    }

    /// The same request once more, when repeating it is harmless.
    pub(crate) fn copy(&self) -> Option<Outbound> {
        let Outbound { worker, idempotent, hedged, grpc_timeout, traced, client, head, content } = self;
        let content = matches!(content, Content::None).then_some(Content::None)?;
        idempotent.then(|| Outbound {
            worker: Rc::clone(worker),
            idempotent: *idempotent,
            hedged: *hedged,
            grpc_timeout: *grpc_timeout,
            traced: *traced,
            client: client.clone(),
            head: head.clone(),
            content,
        })
    }

    /// Tells the application how much it may leave out.
    pub(crate) fn degrade(&mut self, level: u8) {
        self.head.headers.insert(fields::DEGRADE, HeaderValue::from(u16::from(level)));
    }

    /// The request's fields, to be changed before it is sent.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.head.headers
    }

    /// The request's fields.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The content for a try, `None` when it has left for good.
    fn content(&self) -> Option<ClientBody> {
        match &self.content {
            Content::None => Some(ClientBody::Empty),
            Content::Once(content) => content.take(),
            Content::Kept(kept) => Some(ClientBody::Kept(Box::new(kept.replay()))),
        }
    }

    /// Takes back content of which nothing was sent.
    fn give_back(&self, unsent: ClientBody) {
        if let Content::Once(content) = &self.content {
            content.replace(Some(unsent));
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.worker.pool.buffers().give_fields(std::mem::take(&mut self.head.headers));
    }
}

/// Asks `target` once. An idle connection that turns out to be dead is no try: a fresh one follows, where nothing was
/// sent or repeating is harmless.
///
/// # Errors
/// How it went, when there is no reply; the request is in `outbound` again when it may be repeated.
pub(crate) async fn one_try(
    worker: &Worker,
    target: &Target,
    outbound: &Outbound,
    time: TryTime,
) -> Result<Answer, Outcome> {
    let in_flight = InFlight::begin(&target.endpoint);
    let started = worker.now();
    let visit = Visit::begin(target, started);
    let met = match time.fault {
        None => Ok(()),
        Some(strike) => meet(strike, time.head).await,
    };
    let tried = match met {
        Ok(()) => exchange(worker, target, outbound, time, started).await,
        Err(outcome) => Err(outcome),
    };
    let now = worker.now();
    match tried {
        Ok(response) => {
            capacity::answered(worker, &target.endpoint, response.status(), response.headers(), started);
            if let Some(visit) = visit {
                visit.ends(worker, Outcome::Answered(response.status().as_u16()), Some(response.headers()));
            }
            Ok(Answer { response, in_flight })
        }
        Err(outcome) => {
            match outcome {
                Outcome::Refused | Outcome::ConnectTimeout => {
                    target.endpoint.refused(now, &mut worker.rng.borrow_mut());
                    worker.shared.suspects.add(target.endpoint.key.addr);
                }
                Outcome::Died | Outcome::TimedOut | Outcome::Malformed => {
                    target.endpoint.failed(now);
                    worker.shared.suspects.add(target.endpoint.key.addr);
                }
                _ => {}
            }
            if let Some(visit) = visit {
                visit.ends(worker, outcome, None);
            }
            Err(outcome)
        }
    }
}

/// Meets a fault that was set by hand.
///
/// # Errors
/// When the endpoint is not asked: what it would have done.
async fn meet(strike: Strike, head: Duration) -> Result<(), Outcome> {
    if !strike.delay.is_zero() {
        tokio::time::sleep(strike.delay.min(head)).await;
    }
    match strike.end {
        _ if strike.delay >= head => Err(Outcome::TimedOut),
        None => Ok(()),
        Some(StrikeEnd::Error(status)) => Err(Outcome::Answered(status)),
        Some(StrikeEnd::Reset) => Err(Outcome::Died),
    }
}

async fn exchange(
    worker: &Worker,
    target: &Target,
    outbound: &Outbound,
    time: TryTime,
    started: Mono,
) -> Result<Response<ReplyContent>, Outcome> {
    let key = target.endpoint.key;
    let mut idle = worker.pool.take(key, started);
    let mut spent = Duration::ZERO;
    loop {
        let reused = idle.is_some();
        let link = match idle.take() {
            Some(link) => link,
            None => {
                let link = worker.pool.connect(key.addr, time.head.saturating_sub(spent)).await?;
                spent = worker.now().since(started);
                link
            }
        };
        let mut content = outbound.content().ok_or(Outcome::Abandoned)?;
        let left = Left { time: time.deadline.saturating_sub(spent), grpc: outbound.grpc_timeout };
        let hop = Hop { left, traced: &outbound.traced, client: outbound.client.as_ref() };
        let asked = link.ask(&outbound.head, hop, &mut content, worker.pool.buffers());
        let asked = alarm::within(worker, worker.now() + time.head.saturating_sub(spent), asked).await;
        let unsent = matches!(&asked, Ok(Err(asked)) if asked.unsent);
        if unsent {
            outbound.give_back(content);
        }
        let may_repeat = unsent || outbound.repeat() == Repeat::Harmless;
        let Asked { fault, .. } = match asked.map_err(|alarm::Late| Outcome::TimedOut)? {
            Ok(response) => return Ok(response),
            Err(asked) => asked,
        };
        tracing::debug!(addr = %key.addr, %fault, unsent, reused, "no reply");
        if !(reused && may_repeat && matches!(fault, Fault::Io(_) | Fault::Closed)) {
            return Err(if unsent && !reused { Outcome::Refused } else { outcome(&fault) });
        }
        worker.pool.forget(key);
        spent = worker.now().since(started);
    }
}

fn outcome(fault: &Fault) -> Outcome {
    match fault {
        Fault::Content(_) => Outcome::Abandoned,
        Fault::Head(_) => Outcome::Malformed,
        Fault::Io(_) | Fault::Closed => Outcome::Died,
    }
}
