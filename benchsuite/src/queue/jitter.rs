//! How late delayed jobs become ready when many are due within one second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::queue::client::Beanstalk;
use crate::queue::load::{self, BODY_BYTES, Bodies};

const TUBE: &str = "due";
const CONNECTIONS: u64 = 4;
/// Small, so that a job's delay begins soon after it was sent.
const BATCH: u64 = 20;
/// Between two looks at how many are ready.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// How late each job was seen ready, sorted; in milliseconds.
pub(super) struct Late(Vec<f64>);

impl Late {
    pub(super) fn ms(&self, percentile: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * percentile / 100.0).round() as usize).copied().unwrap_or(0.0)
    }
}

/// Puts jobs over some seconds so that all are due within the same second, and watches the tube fill. A job's time is
/// reckoned from when it was sent, so what is found is at most too late, never too early.
pub(super) fn measure(addr: SocketAddr, jobs: u64) -> Result<Late> {
    load::run(async {
        let began = Instant::now();
        // Time to put them all, even at the pace of a slow disk.
        let lead = Duration::from_secs(2 + jobs / 5_000);
        let mut tasks = JoinSet::new();
        for n in 0..CONNECTIONS {
            let share = jobs / CONNECTIONS + u64::from(n < jobs % CONNECTIONS);
            let client = Beanstalk::connect(addr, TUBE).await?;
            tasks.spawn_local(put_share(client, share, began, lead));
        }
        let mut due = Vec::new();
        while let Some(of_client) = tasks.join_next().await {
            due.extend(of_client.context("a client panicked")??);
        }
        ensure!(began.elapsed() < lead, "the jobs were not put in time");
        due.sort();
        watch(Beanstalk::connect(addr, TUBE).await?, began, &due).await
    })
}

/// When each of its jobs is due, since `began`: in the second that follows `lead`.
async fn put_share(mut client: Beanstalk, share: u64, began: Instant, lead: Duration) -> Result<Vec<Duration>> {
    let mut bodies = Bodies::of(BODY_BYTES);
    let mut due = Vec::new();
    while (due.len() as u64) < share {
        let count = BATCH.min(share - due.len() as u64);
        let batch: Vec<Vec<u8>> = (0..count).map(|n| bodies.number(due.len() as u64 + n).to_vec()).collect();
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let sent = began.elapsed();
        let delay_s = lead.saturating_sub(sent).as_secs_f64().ceil() as u32;
        client.put_all(&batch, delay_s).await?;
        due.extend((0..count).map(|_| sent + Duration::from_secs(delay_s.into())));
    }
    Ok(due)
}

async fn watch(mut client: Beanstalk, began: Instant, due: &[Duration]) -> Result<Late> {
    let mut late = Vec::with_capacity(due.len());
    while late.len() < due.len() {
        let ready = client.figure("current-jobs-ready").await? as usize;
        let seen = began.elapsed();
        while late.len() < ready.min(due.len()) {
            late.push((seen.as_secs_f64() - due[late.len()].as_secs_f64()) * 1000.0);
        }
        ensure!(due.last().is_none_or(|last| seen < *last + PATIENCE), "{ready} of {} jobs came", due.len());
        tokio::time::sleep(LOOK).await;
    }
    late.sort_by(f64::total_cmp);
    Ok(Late(late))
}
