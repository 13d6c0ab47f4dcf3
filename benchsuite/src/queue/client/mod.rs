//! One connection to a queue, in the protocol's own bytes: puts jobs, takes and finishes them.

mod amqp;
mod beanstalk;
mod redis;
mod wire;

use std::net::SocketAddr;

use anyhow::Result;

pub(super) use beanstalk::Beanstalk;

use amqp::Amqp;
use redis::Redis;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// beanstalkd's: `put`, `reserve`, `delete`.
    Beanstalk,
    /// Redis used as a queue: `RPUSH`, `LMOVE` into a list of the worker's, `LPOP` from there.
    Redis,
    /// AMQP 0-9-1: persistent messages to a quorum queue with confirms, consumed with a prefetch of one.
    Amqp,
}

/// A connection.
pub(super) enum Client {
    Beanstalk(Beanstalk),
    Redis(Redis),
    Amqp(Amqp),
}

impl Client {
    /// Connects to the queue of this name.
    pub(super) async fn connect(protocol: Protocol, addr: SocketAddr, queue: &str) -> Result<Client> {
        Ok(match protocol {
            Protocol::Beanstalk => Client::Beanstalk(Beanstalk::connect(addr, queue).await?),
            Protocol::Redis => Client::Redis(Redis::connect(addr, queue).await?),
            Protocol::Amqp => Client::Amqp(Amqp::connect(addr, queue).await?),
        })
    }

    /// Puts a job and waits until it is acknowledged. Any refusal is an error.
    pub(super) async fn put(&mut self, body: &[u8]) -> Result<()> {
        self.put_all(std::slice::from_ref(&body), 0).await
    }

    /// Puts several jobs at once, delayed by seconds, and waits until all are acknowledged.
    pub(super) async fn put_all(&mut self, bodies: &[&[u8]], delay_s: u32) -> Result<()> {
        match self {
            Client::Beanstalk(client) => client.put_all(bodies, delay_s).await,
            Client::Redis(client) => client.put_all(bodies).await,
            Client::Amqp(client) => client.put_all(bodies).await,
        }
    }

    /// Takes a job and says that it is done; `false` when there is none, after a moment's wait.
    pub(super) async fn finish_one(&mut self) -> Result<bool> {
        match self {
            Client::Beanstalk(client) => client.finish_one().await,
            Client::Redis(client) => client.finish_one().await,
            Client::Amqp(client) => client.finish_one().await,
        }
    }

    /// Jobs that wait to be taken, or for their time.
    pub(super) async fn count(&mut self) -> Result<u64> {
        match self {
            Client::Beanstalk(client) => client.count().await,
            Client::Redis(client) => client.count().await,
            Client::Amqp(_) => anyhow::bail!("nobody counts the jobs of RabbitMQ"),
        }
    }
}
