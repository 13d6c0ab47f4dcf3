//! Clients in a closed loop: each sends its next request when the last is answered, so that the proxy is always busy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::http::Connection;

/// What the clients did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) took: Duration,
}

/// Whether a connection carries one request or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Alive,
    Close,
}

/// Sends for a time over this many connections at once. Any answer but 200 ends the measurement.
pub(super) fn closed_loop(
    addr: SocketAddr,
    target: &str,
    connections: usize,
    keep: Keep,
    during: Duration,
) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    let close = if keep == Keep::Close { "Connection: close\r\n" } else { "" };
    let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n{close}\r\n").into_bytes();
    runtime.block_on(async {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(addr, request.clone(), keep, started + during));
        }
        let mut requests = 0;
        while let Some(sent) = clients.join_next().await {
            requests += sent.context("a client panicked")??;
        }
        Ok(Load { requests, took: started.elapsed() })
    })
}

async fn client(addr: SocketAddr, request: Vec<u8>, keep: Keep, until: Instant) -> Result<u64> {
    let mut connection = Connection::open(addr).await.context("cannot connect")?;
    let mut requests = 0;
    while Instant::now() < until {
        let reply = connection.exchange(&request).await.context("no answer")?;
        ensure!(reply.status == 200, "answered with {}", reply.status);
        requests += 1;
        match keep {
            Keep::Alive => ensure!(!reply.close, "the connection is not kept alive"),
            Keep::Close => connection = Connection::open(addr).await.context("cannot connect")?,
        }
    }
    Ok(requests)
}
