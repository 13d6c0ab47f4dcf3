//! What a job costs where there are ten thousand tubes with a thousand workers, beside what it costs where there are ten of
//! each: as much, unless something looks at all of them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::figures::{Figure, round};
use crate::queue::client::Beanstalk;
use crate::queue::load::{self, BODY_BYTES, Bodies};
use crate::queue::rounds::Data;
use crate::queue::subject::{Class, Running, Subject};
use crate::queue::{Effort, figure};
use crate::server::Server;

/// Tubes, and workers that watch a share of them each and wait.
const SHAPES: [(&str, usize, usize); 2] = [("10-tubes-10-workers", 10, 10), ("10k-tubes-1k-workers", 10_000, 1_000)];
/// Far beyond a round: nobody's wait ends by itself.
const WAIT_S: u32 = 3_600;

/// Processor time of put, reserve and delete, nothing durable: what disks do is measured elsewhere.
pub(super) fn measure(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (variant, tubes, workers) in SHAPES {
        let mut rounds: Vec<(&Subject, Vec<f64>)> = subjects
            .iter()
            .filter(|subject| matches!(subject, Subject::Forebay(_) | Subject::Beanstalkd))
            .map(|subject| (subject, Vec::new()))
            .collect();
        for _ in 0..effort.rounds {
            for (subject, costs) in &mut rounds {
                let data = Data::below(folder, subject.name())?;
                let running: Running = subject.start(Class::Memory, &data.folder)?;
                costs.push(one(&running.server, tubes, workers, effort)?);
            }
        }
        for (subject, mut costs) in rounds {
            costs.sort_by(f64::total_cmp);
            let median = round(costs[costs.len() / 2], 1);
            figures.push(figure("tubes-10k", variant, subject.name(), "cpu_us_per_job", median));
        }
    }
    Ok(figures)
}

fn one(server: &Server, tubes: usize, workers: usize, effort: &Effort) -> Result<f64> {
    let addr = server.addr;
    load::run(async {
        let finished = Rc::new(Cell::new(0));
        let mut working = JoinSet::new();
        for worker in 0..workers {
            let mut client = Beanstalk::connect(addr, &tube(worker)).await?;
            client.watch((worker + workers..tubes).step_by(workers).map(tube)).await?;
            working.spawn_local(work(client, Rc::clone(&finished)));
        }
        let cpu = server.cpu_time()?;
        let before = finished.get();
        produce(addr, tubes, effort).await?;
        let cpu = server.cpu_time()?.saturating_sub(cpu);
        Ok(cpu.as_secs_f64() * 1e6 / (finished.get() - before).max(1) as f64)
    })
}

fn tube(number: usize) -> String {
    format!("tube-{number}")
}

async fn produce(addr: SocketAddr, tubes: usize, effort: &Effort) -> Result<()> {
    let mut client = Beanstalk::connect(addr, &tube(0)).await?;
    let mut bodies = Bodies::of(BODY_BYTES);
    let began = Instant::now();
    for n in 0.. {
        if began.elapsed() >= effort.round {
            break;
        }
        // The steps between them have no common divisor with their number: all get their turn.
        client.put_into(&tube((n as usize).wrapping_mul(7_919) % tubes), bodies.number(n)).await?;
    }
    Ok(())
}

async fn work(mut client: Beanstalk, finished: Rc<Cell<u64>>) -> Result<()> {
    while client.finish_within(WAIT_S).await.context("a worker")? {
        finished.set(finished.get() + 1);
    }
    Ok(())
}
