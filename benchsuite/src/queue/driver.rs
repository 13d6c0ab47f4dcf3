//! Puts over many connections, one outstanding on each, in the protocol's own bytes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const BODY_BYTES: usize = 300;
const LATENCY_US_MAX: u64 = 600_000_000;

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `put` of beanstalkd's protocol.
    Beanstalk,
    /// `RPUSH` of redis, the way it is used as a queue.
    Redis,
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) puts_per_s: f64,
    pub(super) ack_ms_p50: f64,
    pub(super) ack_ms_p99: f64,
}

impl Protocol {
    /// A whole put.
    fn put(self, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = match self {
            Protocol::Beanstalk => format!("put 0 0 60 {length}\r\n"),
            Protocol::Redis => format!("*3\r\n$5\r\nRPUSH\r\n$5\r\nbench\r\n${length}\r\n"),
        };
        [head.as_bytes(), body, b"\r\n"].concat()
    }

    fn is_acknowledged(self, reply: &[u8]) -> bool {
        match self {
            Protocol::Beanstalk => reply.starts_with(b"INSERTED "),
            Protocol::Redis => reply.starts_with(b":"),
        }
    }
}

/// Puts for a time over this many connections. Any refusal ends the measurement.
pub(super) fn put(protocol: Protocol, addr: SocketAddr, connections: usize, during: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    runtime.block_on(async {
        let mut bodies = stdx::rng::from_kernel();
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(addr).await.context("cannot connect")?;
            stream.set_nodelay(true).context("cannot turn Nagle off")?;
            streams.push(stream);
        }
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for stream in streams {
            let mut body = vec![0; BODY_BYTES];
            bodies.fill(&mut body);
            clients.spawn(client(protocol, stream, body, started + during));
        }
        let mut acks_us = histogram();
        while let Some(of_client) = clients.join_next().await {
            acks_us.add(of_client.context("a client panicked")??).context("histograms of one kind")?;
        }
        let ms = |percentile| acks_us.value_at_percentile(percentile) as f64 / 1000.0;
        Ok(Outcome {
            puts_per_s: acks_us.len() as f64 / started.elapsed().as_secs_f64(),
            ack_ms_p50: ms(50.0),
            ack_ms_p99: ms(99.0),
        })
    })
}

async fn client(
    protocol: Protocol,
    mut stream: TcpStream,
    mut body: Vec<u8>,
    until: Instant,
) -> Result<Histogram<u64>> {
    let mut acks_us = histogram();
    let mut reply = Vec::with_capacity(256);
    for n in 0u64.. {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        body[..8].copy_from_slice(&n.to_le_bytes());
        stream.write_all(&protocol.put(&body)).await.context("cannot send")?;
        reply.clear();
        while !reply.ends_with(b"\r\n") {
            ensure!(reply.len() < 1024, "a reply without an end");
            if stream.read_buf(&mut reply).await.context("cannot read a reply")? == 0 {
                bail!("the server closed the connection");
            }
        }
        ensure!(protocol.is_acknowledged(&reply), "refused: {}", String::from_utf8_lossy(&reply).trim());
        acks_us.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX));
    }
    Ok(acks_us)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_what_the_protocols_say() {
        assert_eq!(Protocol::Beanstalk.put(b"abc"), b"put 0 0 60 3\r\nabc\r\n");
        assert_eq!(Protocol::Redis.put(b"abc"), b"*3\r\n$5\r\nRPUSH\r\n$5\r\nbench\r\n$3\r\nabc\r\n");
    }

    #[test]
    fn a_refusal_is_no_acknowledgement() {
        assert!(Protocol::Beanstalk.is_acknowledged(b"INSERTED 1\r\n"));
        assert!(!Protocol::Beanstalk.is_acknowledged(b"OUT_OF_MEMORY\r\n"));
        assert!(!Protocol::Redis.is_acknowledged(b"-MISCONF\r\n"));
    }
}
