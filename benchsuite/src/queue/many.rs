//! A million jobs that wait: what they cost in memory and on disk, whether delayed ones come at their time, and how long a
//! server that was killed takes to have them all again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figures::{Figure, round};
use crate::queue::client::{Client, Protocol};
use crate::queue::jitter;
use crate::queue::load::{self, BODY_BYTES, Bodies, Target};
use crate::queue::rounds::Data;
use crate::queue::subject::{Class, Running, Subject};
use crate::queue::{Effort, figure};

const CONNECTIONS: usize = 8;
/// Jobs that one connection sends before it waits for their acknowledgements.
const BATCH: usize = 250;
/// A year: far beyond what any queue keeps at hand.
const FAR_S: u32 = 31_536_000;
const IDLE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// Jobs that are due in a year, and beside them some that are due within one and the same second.
pub(super) fn delayed(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    each(subjects, effort, FAR_S, folder)
}

/// Jobs that are ready, of a server that is killed and started again.
pub(super) fn recovery(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    each(subjects, effort, 0, folder)
}

fn each(subjects: &[Subject], effort: &Effort, delay_s: u32, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for subject in subjects {
        // Redis knows no delay; loading RabbitMQ one confirmed message at a time would take minutes.
        let takes_part = match subject.protocol() {
            Protocol::Beanstalk => true,
            Protocol::Redis => delay_s == 0,
            Protocol::Amqp => false,
        };
        if takes_part {
            let scenario = if delay_s == 0 { "recovery-1M" } else { "delayed-1M" };
            let one = one(subject, scenario, delay_s, effort, folder);
            figures.extend(one.with_context(|| format!("{scenario}, {}", subject.name()))?);
        }
    }
    Ok(figures)
}

fn one(subject: &Subject, scenario: &str, delay_s: u32, effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    // Peers that sync for each job would only be loaded more slowly; what they keep is the same.
    let class = if matches!(subject, Subject::Forebay(_)) { Class::Durable } else { Class::Interval };
    let variant = format!("{}-jobs", effort.many);
    let of = |metric, value| figure(scenario, &variant, subject.name(), metric, value);
    let mb = |bytes: u64| round(bytes as f64 / 1e6, 1);
    let data = Data::below(folder, subject.name())?;
    let running = subject.start(class, &data.folder)?;
    let empty_bytes = running.server.resident_bytes();
    let began = Instant::now();
    fill(to(subject, &running), effort.many, delay_s, BODY_BYTES)?;
    let loaded = began.elapsed().as_secs_f64();
    let resident_bytes = running.server.resident_bytes();
    let cpu = running.server.cpu_time()?;
    std::thread::sleep(IDLE);
    let idle = (running.server.cpu_time()?.saturating_sub(cpu)).as_secs_f64() / IDLE.as_secs_f64();
    let mut figures = vec![
        of("resident_mb", mb(resident_bytes)),
        of("bytes_per_job", round(resident_bytes.saturating_sub(empty_bytes) as f64 / effort.many as f64, 1)),
        of("disk_mb", mb(data.bytes())),
        of("loaded_jobs_per_s", round(effort.many as f64 / loaded, 0)),
        of("idle_cpu_percent", round(idle * 100.0, 1)),
    ];
    if delay_s > 0 {
        let late = jitter::measure(to(subject, &running).addr, effort.due)?;
        figures.push(of("late_ms_p50", round(late.ms(50.0), 1)));
        figures.push(of("late_ms_p99", round(late.ms(99.0), 1)));
        figures.push(of("late_ms_max", round(late.ms(100.0), 1)));
    }
    // Dropped is killed.
    drop(running);
    let (recovery, running) = recover(subject, class, &data, effort.many)?;
    figures.push(of("recovery_s", round(recovery.as_secs_f64(), 2)));
    figures.push(of("recovered_resident_mb", mb(running.server.resident_bytes())));
    Ok(figures)
}

fn to<'a>(subject: &Subject, running: &Running) -> Target<'a> {
    Target { protocol: subject.protocol(), addr: running.server.addr, queue: "many" }
}

/// Puts jobs in batches over several connections.
pub(super) fn fill(to: Target<'_>, jobs: u64, delay_s: u32, body_bytes: usize) -> Result<()> {
    load::run(async {
        let mut tasks = tokio::task::JoinSet::new();
        for (n, client) in (0..).zip(load::connect(to, CONNECTIONS).await?) {
            let share = jobs / CONNECTIONS as u64 + u64::from(n < jobs % CONNECTIONS as u64);
            tasks.spawn_local(put_share(client, share, delay_s, body_bytes));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("a client panicked")??;
        }
        Ok(())
    })
}

async fn put_share(mut client: Client, share: u64, delay_s: u32, body_bytes: usize) -> Result<()> {
    let mut bodies = Bodies::of(body_bytes);
    let mut sent = 0;
    while sent < share {
        let batch: Vec<Vec<u8>> = (sent..share.min(sent + BATCH as u64)).map(|n| bodies.number(n).to_vec()).collect();
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        client.put_all(&batch, delay_s).await?;
        sent += batch.len() as u64;
    }
    Ok(())
}

/// From the start of the process to the answer that it has them all.
fn recover(subject: &Subject, class: Class, data: &Data, jobs: u64) -> Result<(Duration, Running)> {
    let began = Instant::now();
    let running = subject.start(class, &data.folder)?;
    let to = to(subject, &running);
    load::run(async {
        loop {
            let mut clients = load::connect(to, 1).await?;
            let counted = match clients.pop() {
                Some(mut client) => client.count().await,
                None => continue,
            };
            match counted {
                Ok(count) if count == jobs => return Ok(()),
                // Redis answers that it is still loading.
                Err(_) if began.elapsed() < PATIENCE => {}
                counted => ensure!(began.elapsed() < PATIENCE && counted.is_ok(), "it has {counted:?} of {jobs} jobs"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })?;
    Ok((began.elapsed(), running))
}
