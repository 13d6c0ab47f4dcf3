//! One try: a connection to an endpoint, the request on it, the head of the reply.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use stdx::clock::Mono;

use crate::access::Outcome;
use crate::body::ClientBody;
use crate::conn::Conn;
use crate::endpoint::InFlight;
use crate::fields::{self, Client, FieldSet};
use crate::pool::Sender;
use crate::retry::Repeatable;
use crate::snapshot::Target;
use crate::tracing_context::{self, Traced};
use crate::worker::Worker;

/// A request as endpoints get it.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) repeatable: Repeatable,
    /// `None` once a request that cannot be repeated has left.
    head: Option<Parts>,
    content: Option<ClientBody>,
}

/// An endpoint's reply, and what it hangs on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) sender: Sender,
    pub(crate) in_flight: InFlight,
}

/// How long a try may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TryTime {
    /// To the head of its reply.
    pub(crate) head: Duration,
    /// To the end of the request's deadline, which the endpoint is told.
    pub(crate) deadline: Duration,
}

impl Outbound {
    /// Turns a client's head into an endpoint's: hop-by-hop fields out, where it came from and its trace in.
    pub(crate) fn new(mut head: Parts, content: ClientBody, set: FieldSet, conn: &Conn, traced: &Traced) -> Outbound {
        let has_content = !matches!(content, ClientBody::Empty);
        let repeatable = Repeatable::of(&head.method, has_content);
        fields::strip_hop_by_hop(&mut head.headers, set);
        if set.expect {
            // The client is told to go on when the endpoint begins to read.
            head.headers.remove(header::EXPECT);
        }
        if set.ours && !conn.trusted {
            fields::remove_all(&mut head.headers, fields::is_ours);
        }
        fields::forwarded(&mut head.headers, set, Client { addr: &conn.peer_value, trusted: conn.trusted });
        tracing_context::write(&mut head.headers, traced);
        if head.uri.authority().is_some() {
            head.uri = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        }
        head.version = Version::HTTP_11;
        head.extensions.clear();
        Outbound { repeatable, head: Some(head), content: Some(content) }
    }

    /// The request's fields, until it has left for good.
    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        self.head.as_ref().map(|head| &head.headers)
    }

    /// The request for the next try; a repeatable one is copied (its bytes are shared), any other leaves for good.
    fn request(&mut self, deadline: Duration) -> Option<Request<ClientBody>> {
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.head.as_mut()?.headers.insert(fields::DEADLINE, HeaderValue::from(millis));
        let head = if self.repeatable.harmless() { self.head.clone()? } else { self.head.take()? };
        let content = if self.repeatable.has_content { self.content.take()? } else { ClientBody::Empty };
        Some(Request::from_parts(head, content))
    }

    /// Takes back a request of which nothing was sent.
    fn take_back(&mut self, request: Request<ClientBody>) {
        let (head, content) = request.into_parts();
        self.head = Some(head);
        self.content = Some(content);
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
    outbound: &mut Outbound,
    time: TryTime,
) -> Result<Answer, Outcome> {
    let in_flight = InFlight::begin(&target.endpoint);
    let started = worker.now();
    let tried = exchange(worker, target, outbound, time, started).await;
    let now = worker.now();
    match tried {
        Ok((response, sender)) => {
            target.endpoint.answered(now, now.since(started));
            Ok(Answer { response, sender, in_flight })
        }
        Err(outcome) => {
            match outcome {
                Outcome::Refused | Outcome::ConnectTimeout => {
                    target.endpoint.refused(now, &mut worker.rng.borrow_mut());
                }
                Outcome::Abandoned | Outcome::Cancelled | Outcome::Answered(_) => {}
                Outcome::Died | Outcome::TimedOut | Outcome::Malformed => target.endpoint.failed(now),
            }
            Err(outcome)
        }
    }
}

async fn exchange(
    worker: &Worker,
    target: &Target,
    outbound: &mut Outbound,
    time: TryTime,
    started: Mono,
) -> Result<(Response<Incoming>, Sender), Outcome> {
    let key = target.endpoint.key;
    let mut idle = worker.pool.take(key, started);
    loop {
        let reused = idle.is_some();
        let spent = worker.now().since(started);
        let mut sender = match idle.take() {
            Some(sender) => sender,
            None => worker.pool.connect(key.addr, time.head.saturating_sub(spent)).await?,
        };
        let request = outbound.request(time.deadline.saturating_sub(spent)).ok_or(Outcome::Abandoned)?;
        let reply = tokio::time::timeout(time.head.saturating_sub(spent), sender.try_send_request(request)).await;
        let mut error = match reply.map_err(|_| Outcome::TimedOut)? {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => return Err(Outcome::Malformed),
            Ok(response) => return Ok((response, sender)),
            Err(error) => error,
        };
        let unsent = error.take_message().map(|request| outbound.take_back(request)).is_some();
        if !reused {
            return Err(if unsent { Outcome::Refused } else { failed(error.error()) });
        }
        if !(unsent || outbound.repeatable.harmless()) {
            return Err(failed(error.error()));
        }
        worker.pool.forget(key);
    }
}

fn failed(error: &hyper::Error) -> Outcome {
    if error.is_parse() {
        Outcome::Malformed
    } else if error.is_user() {
        Outcome::Abandoned
    } else {
        Outcome::Died
    }
}
