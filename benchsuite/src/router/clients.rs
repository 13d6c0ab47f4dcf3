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

/// Sends for a time over this many kept-alive connections. Any answer but 200 ends the measurement.
pub(super) fn closed_loop(addr: SocketAddr, target: &str, connections: usize, during: Duration) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes();
    runtime.block_on(async {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(addr, request.clone(), started + during));
        }
        let mut requests = 0;
        while let Some(sent) = clients.join_next().await {
            requests += sent.context("a client panicked")??;
        }
        Ok(Load { requests, took: started.elapsed() })
    })
}

async fn client(addr: SocketAddr, request: Vec<u8>, until: Instant) -> Result<u64> {
    let mut connection = Connection::open(addr).await.context("cannot connect")?;
    let mut requests = 0;
    while Instant::now() < until {
        let reply = connection.exchange(&request).await.context("no answer")?;
        ensure!(reply.status == 200, "answered with {}", reply.status);
        ensure!(!reply.close, "the connection is not kept alive");
        requests += 1;
    }
    Ok(requests)
}
