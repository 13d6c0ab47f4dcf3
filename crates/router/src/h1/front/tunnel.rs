//! What a connection becomes when an endpoint has switched protocols: bytes to and fro.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use net::tunnel::{Carried, TunnelEnd, TunnelLimits, tunnel};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frames::{Watched, close_of_client, close_of_server};
use super::socket::Ended;
use super::write;
use crate::body::Meter;
use crate::conn::{Conn, Expiry};
use crate::edge::Stream;
use crate::reply::{ReplyBody, Switched};
use crate::shared::Phase;
use crate::upgrade;
use crate::worker::{HttpDate, Worker};

/// How long both sides have to hear that the router leaves.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes that are kept each way while the other side does not take them.
const BUFFER_BYTES: usize = 8 << 10;

/// The end of HTTP on a connection. A reply that says so without a connection behind it is none.
pub(super) fn switch(head: &Parts, body: ReplyBody, date: &HttpDate) -> Ended {
    let stamp = body.stamp();
    match body.into_switched() {
        Some(switched) => {
            let mut out = Vec::new();
            write::switching(&mut out, head, stamp, date);
            out.extend_from_slice(upgrade::FIELDS);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&switched.surplus);
            Ended::Switched(Box::new(switched), out)
        }
        None => Ended::Reply,
    }
}

/// Says that the tunnel ends, and hears the other side out: one that is closed upon with something unread may never see it.
async fn part<S: AsyncRead + AsyncWrite + Unpin, const N: usize>(side: &mut S, farewell: Option<[u8; N]>) {
    let Some(farewell) = farewell else { return };
    let mut rest = [0; 1024];
    if side.write_all(&farewell).await.is_ok() && side.shutdown().await.is_ok() {
        while side.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
    }
}

/// Carries bytes until both sides have ended, nothing moves for too long, or the router drains: then both are told that it goes (RFC 6455, 7.4.1). `first` goes to the client
/// before anything else.
pub(super) async fn run(
    worker: &Rc<Worker>,
    conn: &Conn,
    (mut client, early): (Stream, Bytes),
    switched: Switched,
    first: Vec<u8>,
) {
    let Switched { mut endpoint, surplus, mut exchange, in_flight } = switched;
    let limits = {
        let settings = worker.shared.live.borrow();
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let (idle, total) = (ms(settings.tunnel_idle_timeout_ms), ms(settings.tunnel_timeout_ms));
        TunnelLimits { idle, total, buffer_bytes: BUFFER_BYTES }
    };
    let drained = poll_fn(|cx| match conn.poll_expired(cx.waker()) {
        Some(Expiry::Cut) => Poll::Ready(()),
        _ if worker.phase.get() >= Phase::Draining => Poll::Ready(()),
        _ => Poll::Pending,
    });
    conn.got_reply();
    let head_bytes = (first.len() - surplus.len()) as u64;
    let mut near = Watched::new(&mut client, &early);
    let mut far = Watched::new(&mut endpoint, &surplus);
    let Carried { from_client, to_client, end } = tunnel(&mut near, &mut far, [&early, &first], limits, drained).await;
    if matches!(end, TunnelEnd::Drained) {
        // Not in the middle of a frame, and only where all that was read has been delivered.
        let to_client_ended = far.frames.may_close() && to_client == head_bytes + far.read;
        let to_endpoint_ended = near.frames.may_close() && from_client == near.read;
        let mask = worker.rng.borrow_mut().u32(..);
        let farewells = async {
            tokio::join!(
                part(&mut near, to_client_ended.then(close_of_server)),
                part(&mut far, to_endpoint_ended.then(|| close_of_client(mask))),
            )
        };
        // Whoever does not answer in time is left all the same.
        tokio::time::timeout(FAREWELL, farewells).await.map(drop).unwrap_or_default();
    }
    tracing::debug!(peer = %conn.peer, ?end, from_client, to_client, "tunnel ended");
    exchange.meter = Rc::new(Meter::default());
    exchange.meter.bytes.set(from_client);
    exchange.add_reply_bytes(usize::try_from(to_client.saturating_sub(head_bytes)).unwrap_or(usize::MAX));
    if matches!(end, TunnelEnd::Closed) {
        exchange.ends();
    }
    client.part();
    drop((exchange, in_flight));
}
