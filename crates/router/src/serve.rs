//! Sockets: accepting. A connection's life is its protocol's matter, the way of each of its requests [`crate::answer`]'s.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_local;

use crate::conn::Conn;
use crate::edge::{self, Opened, Speaks, Stream};
use crate::h1::front;
use crate::h2;
use crate::shared::Phase;
use crate::sweep::Sweep;
use crate::worker::Worker;

/// Accepts on one socket until the router drains; then takes what the kernel already queued, and closes.
pub(crate) async fn accept(worker: Rc<Worker>, listener: Arc<TcpListener>, speaks: Speaks) {
    let mut phase = worker.shared.phase.subscribe();
    // Its sender lives in `shared`.
    if phase.wait_for(|phase| *phase >= Phase::Serving).await.is_err() {
        return;
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // With all seats taken the next client waits here, and those after it in the kernel's queue.
                let seat = tokio::select! {
                    seat = Arc::clone(&worker.shared.connections).acquire_owned() => seat,
                    // It has been taken out of that queue: it is served, and one too many does no harm now.
                    _ = phase.wait_for(|phase| *phase > Phase::Serving) => {
                        begin(&worker, stream, (peer, speaks), None);
                        break;
                    }
                };
                let Ok(seat) = seat else { break };
                begin(&worker, stream, (peer, speaks), Some(seat));
            }
            Err(error) => net::accept::rest(&error).await,
        }
    }
    take_queued(&worker, &listener, speaks).await;
}

/// A connection that the kernel accepted for us would be reset by closing the listener, unless another process has it too.
async fn take_queued(worker: &Rc<Worker>, listener: &TcpListener, speaks: Speaks) {
    while let Ok(seat) = Arc::clone(&worker.shared.connections).try_acquire_owned() {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = std::future::ready(()) => return,
        };
        let Ok((stream, peer)) = accepted else { return };
        begin(worker, stream, (peer, speaks), Some(seat));
    }
}

/// A connection is a task of its own: a panic in it ends it and nothing else.
fn begin(worker: &Rc<Worker>, stream: TcpStream, from: (SocketAddr, Speaks), seat: Option<OwnedSemaphorePermit>) {
    // From here on the worker does not end without it, though its task has not begun.
    let begun = Sweep::begin(worker);
    let worker = Rc::clone(worker);
    spawn_local(async move {
        connection(&worker, stream, from).await;
        drop((seat, begun));
    });
}

async fn connection(worker: &Rc<Worker>, stream: TcpStream, (peer, speaks): (SocketAddr, Speaks)) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection was gone before it began");
        return;
    }
    let opened = if worker.shared.edge.concerns(speaks, peer.ip()) {
        Box::pin(edge::open(worker, stream, peer, speaks)).await
    } else {
        // Asked for only where endpoints are told: it costs a system call.
        let local = worker.snapshot().tells_clients.then(|| stream.local_addr().ok()).flatten();
        Some(Opened { stream: Stream::Plain(stream), peer, local, http2: false, secured: None })
    };
    let Some(Opened { stream, peer, local, http2, secured }) = opened else { return };
    let trusted = worker.shared.trusted.contains(peer.ip());
    let conn = Rc::new(Conn::new((peer, local), trusted, secured, worker.sweep.clock()));
    let _watched = Sweep::watch(worker, Rc::clone(&conn));
    let http2 = if http2 { Some((stream, Bytes::new())) } else { front::serve(worker, &conn, stream).await };
    if let Some((stream, front)) = http2 {
        Box::pin(h2::serve(worker, &conn, stream, front)).await;
    }
}
