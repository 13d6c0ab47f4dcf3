//! Jobs that come and go without end, and a few among them that stay for a month: how much disk that takes, and what it
//! costs the others to have them copied out of the way.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::figures::{Figure, round};
use crate::queue::client::Client;
use crate::queue::load::{self, Bodies, Target, histogram, micros};
use crate::queue::rounds::Data;
use crate::queue::subject::{Class, Subject};
use crate::queue::{Effort, figure};

const CONNECTIONS: usize = 32;
const BODY_BYTES: usize = 4096;
const MONTH_S: u32 = 30 * 86_400;
/// One job in so many stays.
const STAYS: u64 = 100;
const LOOK: Duration = Duration::from_millis(100);

/// With jobs that stay, and without: the difference is what compaction costs.
pub(super) fn measure(subjects: &[Subject], effort: &Effort, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for subject in subjects.iter().filter(|subject| matches!(subject, Subject::Forebay(_) | Subject::Beanstalkd)) {
        // beanstalkd that syncs for each job churns too little to show anything.
        let class = if *subject == Subject::Beanstalkd { Class::Interval } else { Class::Durable };
        for (variant, stays) in [("nothing-stays", false), ("one-in-100-stays", true)] {
            let data = Data::below(folder, subject.name())?;
            let running = subject.start(class, &data.folder)?;
            let to = Target { protocol: subject.protocol(), addr: running.server.addr, queue: "churn" };
            let seen = churn(to, stays, effort.churn, &data).with_context(|| format!("churn, {}", subject.name()))?;
            figures.extend(seen.figures(variant, subject.name()));
        }
    }
    Ok(figures)
}

/// What the connections and the folder showed.
struct Seen {
    puts_us: Histogram<u64>,
    took: Duration,
    live_bytes: u64,
    disk_bytes_max: u64,
    /// The most that the folder ever had beyond twice what lived.
    beyond_bytes_max: i64,
}

impl Seen {
    fn figures(&self, variant: &str, subject: &str) -> Vec<Figure> {
        let of = |metric, value| figure("churn", variant, subject, metric, value);
        let ms = |percentile| self.puts_us.value_at_percentile(percentile) as f64 / 1000.0;
        vec![
            of("jobs_per_s", round(self.puts_us.len() as f64 / self.took.as_secs_f64(), 0)),
            of("ack_ms_p50", round(ms(50.0), 3)),
            of("ack_ms_p99", round(ms(99.0), 2)),
            of("live_mb", round(self.live_bytes as f64 / 1e6, 1)),
            of("disk_mb_max", round(self.disk_bytes_max as f64 / 1e6, 1)),
            of("disk_mb_beyond_twice_live", round(self.beyond_bytes_max as f64 / 1e6, 1)),
        ]
    }
}

fn churn(to: Target<'_>, stays: bool, during: Duration, data: &Data) -> Result<Seen> {
    load::run(async {
        let live = Rc::new(Cell::new(0u64));
        let began = Instant::now();
        let until = began + during;
        let mut tasks = JoinSet::new();
        for client in load::connect(to, CONNECTIONS).await? {
            tasks.spawn_local(come_and_go(client, stays, until, Rc::clone(&live)));
        }
        let (mut disk_bytes_max, mut beyond_bytes_max) = (0, i64::MIN);
        while Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            let (disk, live) = (data.bytes(), live.get());
            disk_bytes_max = disk_bytes_max.max(disk);
            beyond_bytes_max = beyond_bytes_max.max(disk.cast_signed() - 2 * live.cast_signed());
        }
        let mut puts_us = histogram();
        while let Some(ended) = tasks.join_next().await {
            puts_us.add(ended.context("a client panicked")??).context("histograms of one kind")?;
        }
        Ok(Seen { puts_us, took: began.elapsed(), live_bytes: live.get(), disk_bytes_max, beyond_bytes_max })
    })
}

async fn come_and_go(mut client: Client, stays: bool, until: Instant, live: Rc<Cell<u64>>) -> Result<Histogram<u64>> {
    let mut bodies = Bodies::of(BODY_BYTES);
    let mut puts_us = histogram();
    for n in 1.. {
        if Instant::now() >= until {
            break;
        }
        if stays && n % STAYS == 0 {
            client.put_all(&[bodies.number(n)], MONTH_S).await?;
            live.set(live.get() + BODY_BYTES as u64);
        }
        let sent = Instant::now();
        client.put(bodies.number(n)).await?;
        puts_us.saturating_record(micros(sent));
        client.finish_one().await?;
    }
    Ok(puts_us)
}
