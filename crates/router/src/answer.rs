//! The way of one request, whatever protocol it came by: a head and a content in, a head and a content out.

use std::rc::Rc;
use std::time::Duration;

use http::Response;
use http::request::Parts;
use http_body::Body;

use crate::body::{ClientBody, Content, ContentFault};
use crate::cache;
use crate::capacity;
use crate::compress::Wish;
use crate::conn::Conn;
use crate::deadline;
use crate::edge;
use crate::exchange::Exchange;
use crate::fields::FieldSet;
use crate::fragments;
use crate::gate;
use crate::idempotency;
use crate::maintenance;
use crate::outbound::Outbound;
use crate::own_writes;
use crate::passwords;
use crate::reply::{self, Reply, ReplyBody};
use crate::rescue::Failure;
use crate::reserved::Reserved;
use crate::route::Routed;
use crate::tries::{Destination, Via};
use crate::worker::Worker;

/// One request, from its head to the head of its reply; the reply's content follows in [`reply`]. `content` when there is
/// some.
pub(crate) fn answer(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    head: Parts,
    set: FieldSet,
    content: Option<Content>,
) -> impl Future<Output = Response<ReplyBody>> + use<> {
    // It begins now. A future around the other would carry a second copy of all this.
    finish(Exchange::begin(worker, conn, &head, set), head, set, content)
}

/// The rest of the way.
pub(crate) async fn finish(
    mut exchange: Exchange,
    head: Parts,
    set: FieldSet,
    content: Option<Content>,
) -> Response<ReplyBody> {
    let reserved = Reserved::of(&exchange.worker, &head);
    match (pass(&mut exchange, head, set, content, reserved.is_some()).await, reserved) {
        (Ok(reply), _) => reply::of(exchange, reply),
        (Err(Failure::Reserved), Some(reserved)) => reserved.reply(exchange),
        (Err(failure), _) => reply::of_router(exchange, failure),
    }
}

/// Gate, route, tries.
async fn pass(
    exchange: &mut Exchange,
    mut head: Parts,
    set: FieldSet,
    content: Option<Content>,
    is_reserved: bool,
) -> Result<Reply, Failure> {
    let (worker, conn) = (Rc::clone(&exchange.worker), Rc::clone(&exchange.conn));
    if content.is_some() {
        exchange.has_content = true;
        exchange.meter = Rc::default();
    }
    let admitted = gate::admit(&head, set, &worker.limits)?;
    if is_reserved {
        return Err(Failure::Reserved);
    }
    let path = head.uri.path();
    let routed = Routed::find(&worker.snapshot(), &admitted.host, path).ok_or(Failure::NoRoute)?;
    let asked = asked(exchange, &head, set);
    exchange.routed(&admitted.host, &routed, asked);
    is_served(exchange, &routed, &admitted.host, &head)?;
    let path: Box<str> = path.into();
    if let Some(rule) = &routed.policy.fragments {
        fragments::prepare(exchange, rule, &head, &admitted.host);
    }
    if routed.policy.treatment.is_some() {
        treat(&routed, exchange, &admitted.host, &mut head).await?;
    }
    if let Some(rule) = &routed.policy.compress {
        exchange.compress = Some(Box::new(Wish::of(rule, &head.method, &head.headers)));
    }
    if routed.policy.fragments.is_some() {
        fragments::ask_plainly(&mut head);
    }
    let bytes_max = routed.policy.body_bytes_max;
    let content = match content {
        None => ClientBody::Empty,
        Some(content) if content.size_hint().lower() > bytes_max => return Err(ContentFault::TooLarge.into()),
        Some(content) => ClientBody::stream(content, bytes_max, Rc::clone(&exchange.meter), Rc::clone(&conn)),
    };
    let level = routed.app.level();
    let destination = Destination { host: admitted.host, path, routed, via: Via::Route };
    let mut outbound = Outbound::new(head, content, set, exchange);
    if let Some(user) = exchange.user.take() {
        outbound.tell_user(*user);
    }
    if level > 0 {
        outbound.degrade(level);
        destination.routed.app.look(worker.now());
    }
    if let Some(rule) = destination.routed.policy.own_writes.clone() {
        return Box::pin(own_writes::run(exchange, destination, outbound, &rule)).await;
    }
    dispatch(exchange, destination, outbound).await
}

/// Whether the route answers at all now, and to one who came this way.
fn is_served(exchange: &mut Exchange, routed: &Routed, host: &str, head: &Parts) -> Result<(), Failure> {
    if let Some(https) = &routed.policy.https {
        exchange.secure = edge::is_secure(&exchange.conn, &head.headers);
        if https.redirect && !exchange.secure {
            let port = exchange.worker.shared.edge.https_port;
            exchange.location = edge::location(host, head, port).map(Box::new);
            return Err(Failure::Insecure);
        }
    }
    match routed.state.worked.rule() {
        Some(rule) => worked_on(&rule, exchange, routed, head),
        None => Ok(()),
    }
}

/// Answers in the place of an application that is being worked on, except to those who are let in.
fn worked_on(rule: &maintenance::Rule, exchange: &mut Exchange, routed: &Routed, head: &Parts) -> Result<(), Failure> {
    if rule.lets_in(capacity::client(&exchange.conn, &head.headers, &exchange.worker.shared.trusted)) {
        return Ok(());
    }
    exchange.taken.page = rule.page().map(Box::new).or_else(|| capacity::page(routed));
    Err(Failure::Maintenance { retry_after_s: rule.retry_after_s(exchange.worker.wall()) })
}

/// How long whoever asks wants to wait, where that counts.
fn asked(exchange: &Exchange, head: &Parts, set: FieldSet) -> Option<Duration> {
    match &exchange.fragment {
        Some(slot) => Some(slot.longest),
        None if exchange.conn.trusted => deadline::asked(&head.headers, set),
        None => None,
    }
}

/// Turns a request away, sends it elsewhere, or makes of it what the application is to get.
async fn treat(routed: &Routed, exchange: &mut Exchange, host: &str, head: &mut Parts) -> Result<(), Failure> {
    let Some(treatment) = &routed.policy.treatment else { return Ok(()) };
    if let Some(clients) = &treatment.clients {
        let client = capacity::client(&exchange.conn, &head.headers, &exchange.worker.shared.trusted);
        if !clients.may_ask(client) {
            return Err(Failure::NotForThem);
        }
    }
    if let Some(users) = &treatment.users {
        Box::pin(passwords::admit(exchange, users, &head.headers)).await?;
    }
    if let Some((status, location)) = treatment.elsewhere(host, &head.uri) {
        exchange.location = Some(Box::new(location));
        return Err(Failure::Elsewhere(status));
    }
    if treatment.rewrites() && routed.policy.cache.is_some() {
        exchange.address = head.uri.path_and_query().map(|target| target.as_str().into());
    }
    treatment.request(head);
    Ok(())
}

/// Its route's cache, where it has one; else all that comes after.
pub(crate) async fn dispatch(
    exchange: &mut Exchange,
    destination: Destination,
    outbound: Outbound,
) -> Result<Reply, Failure> {
    if let Some(policy) = destination.routed.policy.cache.clone() {
        return cache::run(exchange, destination, outbound, &policy).await;
    }
    uncached(exchange, destination, outbound).await
}

/// Its journal where it has a key, its breaker and limits, its tries.
pub(crate) async fn uncached(
    exchange: &mut Exchange,
    destination: Destination,
    outbound: Outbound,
) -> Result<Reply, Failure> {
    if let Some(rule) = destination.routed.policy.idempotency.clone() {
        return Box::pin(idempotency::run(exchange, destination, outbound, &rule)).await;
    }
    capacity::run(exchange, destination, outbound).await.map(Reply::Endpoint)
}
