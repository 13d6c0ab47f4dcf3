//! Sockets: accepting, one connection's life, and the way of each of its requests.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_local;

use crate::body::{ClientBody, ContentFault};
use crate::capacity;
use crate::conn::{Conn, Expiry};
use crate::deadline;
use crate::exchange::Exchange;
use crate::fields::{self, FieldSet};
use crate::forward::Outbound;
use crate::gate;
use crate::idempotency;
use crate::own_writes;
use crate::reply::{self, Reply, ReplyBody};
use crate::rescue::Failure;
use crate::reserved::{self, Reserved};
use crate::route::Routed;
use crate::shared::Phase;
use crate::sweep::Sweep;
use crate::tries::{Destination, Via};
use crate::wire::Wire;
use crate::worker::Worker;

/// How long, and how much, is read from a client after an early reply so that it sees the reply and not a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// Accepts on one socket until the router drains; then takes what the kernel already queued, and closes.
pub(crate) async fn accept(worker: Rc<Worker>, listener: TcpListener) {
    let mut phase = worker.shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // With all seats taken the next client waits here, and those after it in the kernel's queue.
                let seat = tokio::select! {
                    seat = Arc::clone(&worker.shared.connections).acquire_owned() => seat,
                    _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                };
                let Ok(seat) = seat else { break };
                begin(&worker, stream, peer, seat);
            }
            Err(error) => net::accept::rest(&error).await,
        }
    }
    take_queued(&worker, &listener).await;
}

/// A connection that the kernel accepted for us would be reset by closing the listener.
async fn take_queued(worker: &Rc<Worker>, listener: &TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = std::future::ready(()) => return,
        };
        let seat = Arc::clone(&worker.shared.connections).try_acquire_owned();
        let (Ok((stream, peer)), Ok(seat)) = (accepted, seat) else { return };
        begin(worker, stream, peer, seat);
    }
}

/// A connection is a task of its own: a panic in it ends it and nothing else.
fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, seat: OwnedSemaphorePermit) {
    let worker = Rc::clone(worker);
    spawn_local(async move {
        connection(&worker, stream, peer).await;
        drop(seat);
    });
}

async fn connection(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection was gone before it began");
        return;
    }
    let conn = Rc::new(Conn::new(peer, worker.shared.trusted.contains(peer.ip()), worker.sweep.clock()));
    let _watched = Sweep::watch(worker, Rc::clone(&conn));
    let wire = TokioIo::new(Wire::new(stream, Rc::clone(&conn)));
    let service = service_fn(|request| answer(Rc::clone(worker), Rc::clone(&conn), request));
    let mut http = worker.http.serve_connection(wire, service);
    let ended = poll_fn(|cx| {
        if let Some(why) = conn.poll_expired(cx.waker()) {
            return Poll::Ready(Err(why));
        }
        if worker.phase.get() >= Phase::Draining {
            Pin::new(&mut http).graceful_shutdown();
        }
        Pin::new(&mut http).poll(cx).map(Ok)
    })
    .await;
    let wire = http.into_parts().io.into_inner();
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_parse() => {
            let status = if error.is_parse_too_large() { S431 } else { StatusCode::BAD_REQUEST };
            Exchange::unreadable(worker, &conn, status, error.to_string());
            conn.linger.set(true);
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection broke off"),
        Err(Expiry::Head) => head_timed_out(worker, &conn, &wire.stream),
        Err(Expiry::Idle | Expiry::Write | Expiry::Cut) => {}
    }
    if conn.linger.get() {
        linger(wire.stream).await;
    }
}

const S431: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;

/// Says 408 to a client that began a head and did not finish it; to one that sent nothing there is nothing to say.
fn head_timed_out(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: &TcpStream) {
    if !conn.witness.borrow().mid_head() {
        return;
    }
    let status = StatusCode::REQUEST_TIMEOUT;
    let trace = Exchange::unreadable(worker, conn, status, "the head did not come in time".into()).trace;
    let reply =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n{}: {trace}\r\n\r\n", fields::TRACE);
    if let Err(error) = stream.try_write(reply.as_bytes()) {
        tracing::debug!(peer = %conn.peer, %error, "cannot say 408");
    }
}

/// Reads away what a client still sends, within bounds.
async fn linger(mut stream: TcpStream) {
    let drained = async {
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
        let mut buffer = vec![0; 16 << 10];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    if tokio::time::timeout(LINGER, drained).await.is_err() {
        tracing::debug!("client went on sending after an early reply");
    }
}

/// One request, from its head to the head of its reply; the reply's content follows in [`reply`].
async fn answer(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let (head, incoming) = request.into_parts();
    let set = FieldSet::of(&head.headers);
    let mut exchange = Exchange::begin(&worker, &conn, &head, set);
    let reserved = Reserved::of(&head);
    Ok(match (pass(&mut exchange, head, set, incoming).await, reserved) {
        (Ok(reply), _) => reply::of(exchange, reply),
        (Err(Failure::Reserved), Some(reserved)) => reserved.reply(exchange),
        (Err(failure), _) => reply::of_router(exchange, failure),
    })
}

/// Gate, route, tries.
async fn pass(
    exchange: &mut Exchange,
    head: http::request::Parts,
    set: FieldSet,
    incoming: Incoming,
) -> Result<Reply, Failure> {
    let (worker, conn) = (Rc::clone(&exchange.worker), Rc::clone(&exchange.conn));
    if !incoming.is_end_stream() {
        exchange.has_content = true;
        exchange.meter = Rc::default();
    }
    let seen = conn.witness.borrow_mut().next_head();
    let admitted = gate::admit(&head, set, seen, &worker.limits)?;
    let path = head.uri.path();
    if reserved::is(path) {
        return Err(Failure::Reserved);
    }
    let routed = Routed::find(&worker.snapshot(), &admitted.host, path).ok_or(Failure::NoRoute)?;
    let asked = if conn.trusted { deadline::asked(&head.headers, set) } else { None };
    exchange.routed(&admitted.host, &routed, asked);
    let bytes_max = routed.policy.body_bytes_max;
    if incoming.size_hint().lower() > bytes_max {
        return Err(ContentFault::TooLarge.into());
    }
    let content = if exchange.has_content {
        ClientBody::stream(incoming, bytes_max, Rc::clone(&exchange.meter), Rc::clone(&conn))
    } else {
        ClientBody::Empty
    };
    let level = routed.app.level();
    let destination = Destination { host: admitted.host, path: path.into(), routed, via: Via::Route };
    let mut outbound = Outbound::new(head, content, set, &conn, &exchange.traced);
    if level > 0 {
        outbound.degrade(level);
        destination.routed.app.look(worker.now());
    }
    if let Some(rule) = destination.routed.policy.own_writes.clone() {
        return Box::pin(own_writes::run(exchange, destination, outbound, &rule)).await;
    }
    dispatch(exchange, destination, outbound).await
}

/// Its journal where it has a key, its breaker and limits, its tries.
pub(crate) async fn dispatch(
    exchange: &mut Exchange,
    destination: Destination,
    outbound: Outbound,
) -> Result<Reply, Failure> {
    if let Some(rule) = destination.routed.policy.idempotency.clone() {
        return Box::pin(idempotency::run(exchange, destination, outbound, &rule)).await;
    }
    capacity::run(exchange, destination, outbound).await.map(Reply::Endpoint)
}
