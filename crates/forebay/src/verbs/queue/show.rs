//! `forebay queue show`: one tube and its next jobs, or the queue as a whole.

use control::wire::{JobRow, LatencyRow, Listing, QueueRow, QueueStatus};
use serde::{Deserialize, Serialize};
use stdx::clock::{Clock, SystemClock};

use super::{ls, or_dash, segment, tell_json};
use crate::args::{Global, ShowArgs};
use crate::output::{self, Done};

/// A tube with some of its jobs.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    schema: u32,
    tube: QueueRow,
    jobs: Vec<JobRow>,
}

pub(super) async fn run(global: &Global, args: &ShowArgs) -> Done {
    let client = super::super::client(global)?;
    let Some(tube) = args.tube.as_deref() else {
        let status: QueueStatus = client.get("/v1/queue/status").await?;
        return if global.json { tell_json(&status) } else { print_status(&status) };
    };
    let path = format!("/v1/queue/tubes/{}", segment(tube));
    let row: QueueRow = client.get(&format!("{path}{}", args.scope.pairs([]))).await?;
    let pairs = args.scope.pairs([("state", args.state.clone()), ("n", Some(args.n.to_string()))]);
    let jobs: Listing<JobRow> = client.get(&format!("{path}/jobs{pairs}")).await?;
    if global.json {
        return Ok(output::json_line(&Shown { schema: 1, tube: row, jobs: jobs.items })?);
    }
    print_tube(&row)?;
    output::line("")?;
    let header = ["job", "state", "pri", "age", "left", "ttr", "bytes", "reserves", "timeouts", "releases", "buries"];
    Ok(output::table(&header, jobs.items.iter().map(job))?)
}

fn print_tube(row: &QueueRow) -> Done {
    let lines = [
        ("tube", row.tube.clone()),
        (
            "jobs",
            format!("{} ready, {} reserved, {} delayed, {} buried", row.ready, row.reserved, row.delayed, row.buried),
        ),
        ("bytes", row.bytes.to_string()),
        ("oldest", or_dash(row.oldest_ready_ms.map(|ms| output::ago(ms / 1_000)))),
        (
            "rates",
            format!("{}/s in, {}/s out", ls::rate(row.burden.arrivals_per_s), ls::rate(row.burden.services_per_s)),
        ),
        ("drain", ls::drain(row)),
        ("ever", format!("{} put, {} deleted", row.total, row.deleted)),
        ("retries", format!("{} timed out, {} released, {} failed", row.timeouts, row.releases, row.failures)),
        ("waiting", row.waiting.to_string()),
        ("paused", or_dash(row.paused_until_ms.map(|ms| paused(row, ms)))),
        ("dead", row.dead.to_string()),
        ("durability", row.durability.clone()),
        ("alerts", or_dash(ls::alerts(row))),
    ];
    for (what, value) in lines {
        output::line(&format!("{what:<11} {value}"))?;
    }
    Ok(())
}

fn paused(row: &QueueRow, until_ms: u64) -> String {
    let mut text = format!("until {}", output::local_time(until_ms.saturating_mul(1_000_000)));
    for (word, what) in [(" by ", &row.paused_by), (": ", &row.paused_why)] {
        if let Some(what) = what {
            text.push_str(&format!("{word}{what}"));
        }
    }
    text
}

fn print_status(status: &QueueStatus) -> Done {
    let latency = |row: &LatencyRow| format!("p50 {} ms, p99 {} ms, of {}", row.p50, row.p99, row.count);
    let lines = [
        ("jobs", format!("{} in {} tubes, {} bytes", status.jobs, status.tubes, status.bytes)),
        ("far", format!("{} of them known to memory by bucket only", status.far_jobs)),
        ("memory", format!("{} of {} bytes", status.memory_bytes, status.memory_bytes_max)),
        ("connections", status.connections.to_string()),
        ("syncs", format!("{}, {}/s", status.syncs, ls::rate(status.syncs_per_s))),
        ("sync", latency(&status.sync_ms)),
        ("ack", latency(&status.ack_ms)),
        (
            "takes jobs",
            if status.draining {
                "no: draining"
            } else if status.disk_low {
                "no: disk full"
            } else if status.memory_bytes >= status.memory_bytes_max {
                "no: memory full"
            } else {
                "yes"
            }
            .into(),
        ),
    ];
    for (what, value) in lines {
        output::line(&format!("{what:<11} {value}"))?;
    }
    Ok(())
}

fn job(row: &JobRow) -> Vec<String> {
    let age_ms = SystemClock::new().wall().millis().saturating_sub(row.created_ms);
    vec![
        row.id.to_string(),
        row.state.clone(),
        row.pri.to_string(),
        output::ago(age_ms / 1_000),
        or_dash(row.left_ms.map(|ms| output::ago(ms / 1_000))),
        format!("{}s", row.ttr_s),
        row.bytes.to_string(),
        row.reserves.to_string(),
        row.timeouts.to_string(),
        row.releases.to_string(),
        row.buries.to_string(),
    ]
}
