//! Load in a closed loop: each connection has one command outstanding.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};

use crate::queue::client::{Client, Protocol};

/// Bytes of a job's body.
pub(super) const BODY_BYTES: usize = 300;
const LATENCY_US_MAX: u64 = 600_000_000;
const NEVER: Duration = Duration::from_secs(3600);

/// Where jobs go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) protocol: Protocol,
    pub(super) addr: SocketAddr,
    pub(super) queue: &'a str,
}

/// What one round gave.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Jobs that were put, or finished where workers are measured.
    pub(super) jobs: u64,
    pub(super) took: Duration,
    /// From sending to acknowledgement: of a put, or of reserve and delete together where only workers are measured.
    pub(super) acks_us: Histogram<u64>,
}

impl Outcome {
    pub(super) fn ack_ms(&self, percentile: f64) -> f64 {
        self.acks_us.value_at_percentile(percentile) as f64 / 1000.0
    }

    pub(super) fn jobs_per_s(&self) -> f64 {
        self.jobs as f64 / self.took.as_secs_f64()
    }
}

/// Puts for a time.
pub(super) fn put(to: Target<'_>, connections: usize, during: Duration) -> Result<Outcome> {
    run(async {
        let clients = connect(to, connections).await?;
        let began = Instant::now();
        let tasks = clients.into_iter().map(|client| produce(client, began + during, None));
        let acks_us = together(tasks).await?;
        Ok(Outcome { jobs: acks_us.len(), took: began.elapsed(), acks_us })
    })
}

/// Puts this many jobs, or what can be put within a time, and then has workers finish them all; only the latter is measured.
pub(super) fn drain(to: Target<'_>, workers: usize, most: u64, filling: Duration) -> Result<Outcome> {
    const PRODUCERS: u64 = 64;
    run(async {
        let producers = connect(to, PRODUCERS as usize).await?;
        let share = |n: u64| most / PRODUCERS + u64::from(n < most % PRODUCERS);
        let full = Instant::now() + filling;
        let tasks = (0..).zip(producers).map(|(n, client)| produce(client, full, Some(share(n))));
        let jobs = together(tasks).await?.len();
        finish_all(to, workers, jobs).await
    })
}

/// Has workers finish this many jobs.
pub(super) fn finish(to: Target<'_>, workers: usize, jobs: u64) -> Result<Outcome> {
    run(finish_all(to, workers, jobs))
}

async fn finish_all(to: Target<'_>, workers: usize, jobs: u64) -> Result<Outcome> {
    let left = Rc::new(Cell::new(jobs));
    let clients = connect(to, workers).await?;
    let began = Instant::now();
    let tasks = clients.into_iter().map(|client| work(client, Rc::clone(&left), began + NEVER));
    let acks_us = together(tasks).await?;
    Ok(Outcome { jobs: acks_us.len(), took: began.elapsed(), acks_us })
}

/// As many producers as workers, for a time. What is counted is finished; what is timed are the puts.
pub(super) fn mixed(to: Target<'_>, pairs: usize, during: Duration) -> Result<Outcome> {
    run(async {
        let (producers, workers) = (connect(to, pairs).await?, connect(to, pairs).await?);
        let began = Instant::now();
        let until = began + during;
        let left = Rc::new(Cell::new(u64::MAX));
        let working = together(workers.into_iter().map(|client| work(client, Rc::clone(&left), until)));
        let producing = together(producers.into_iter().map(|client| produce(client, until, None)));
        let (worked, acks_us) = tokio::join!(working, producing);
        Ok(Outcome { jobs: worked?.len(), took: began.elapsed(), acks_us: acks_us? })
    })
}

/// Runs clients on one thread.
pub(super) fn run<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
    runtime.block_on(LocalSet::new().run_until(load))
}

pub(super) async fn connect(to: Target<'_>, connections: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(Client::connect(to.protocol, to.addr, to.queue).await?);
    }
    Ok(clients)
}

/// Bodies that do not compress and of which no two are alike.
pub(super) struct Bodies(Vec<u8>);

impl Bodies {
    pub(super) fn of(bytes: usize) -> Bodies {
        let mut body = vec![0; bytes];
        stdx::rng::from_kernel().fill(&mut body);
        Bodies(body)
    }

    pub(super) fn number(&mut self, n: u64) -> &[u8] {
        self.0[..8].copy_from_slice(&n.to_le_bytes());
        &self.0
    }
}

async fn produce(mut client: Client, until: Instant, most: Option<u64>) -> Result<Histogram<u64>> {
    let mut bodies = Bodies::of(BODY_BYTES);
    let mut acks_us = histogram();
    for n in 0..most.unwrap_or(u64::MAX) {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        client.put(bodies.number(n)).await?;
        acks_us.saturating_record(micros(sent));
    }
    Ok(acks_us)
}

async fn work(mut client: Client, left: Rc<Cell<u64>>, until: Instant) -> Result<Histogram<u64>> {
    let mut acks_us = histogram();
    while left.get() > 0 && Instant::now() < until {
        let sent = Instant::now();
        if client.finish_one().await? {
            left.set(left.get().saturating_sub(1));
            acks_us.saturating_record(micros(sent));
        }
    }
    Ok(acks_us)
}

async fn together(
    tasks: impl Iterator<Item = impl Future<Output = Result<Histogram<u64>>> + 'static>,
) -> Result<Histogram<u64>> {
    let mut set = JoinSet::new();
    tasks.for_each(|task| drop(set.spawn_local(task)));
    let mut all = histogram();
    while let Some(one) = set.join_next().await {
        all.add(one.context("a client panicked")??).context("histograms of one kind")?;
    }
    Ok(all)
}

pub(super) fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX)
}

/// For microseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are valid")
}
