//! `forebay queue dead` and `forebay queue replay`.

use bytes::Bytes;
use control::client::body;
use control::error::{ApiError, Kind};
use control::wire::Listing;
use http::Method;
use queue::door::{DeadJob, Replayed};
use serde_json::Value;
use stdx::clock::{Clock, SystemClock};

use crate::args::{DeadArgs, DeadFlags, Global, ReplayArgs};
use crate::output::{self, Done};

const HEADER: [&str; 9] = ["job", "from", "lies in", "died", "end", "reserves", "failures", "worker", "reason"];

pub(super) async fn list(global: &Global, args: &DeadArgs) -> Done {
    let pairs = pairs(&args.which, [("n", Some(args.n.to_string())), ("into", None), ("preview", None)]);
    let dead: Listing<DeadJob> = super::super::client(global)?.get(&format!("/v1/queue/dead{pairs}")).await?;
    if let (Some(id), true) = (args.which.job, dead.items.is_empty()) {
        return Err(not_dead(id).into());
    }
    match (args.which.job, dead.items.first()) {
        (Some(_), Some(job)) if !global.json => print_one(job),
        _ => Ok(output::listing(&dead, global.json, &HEADER, cells)?),
    }
}

pub(super) async fn replay(global: &Global, args: &ReplayArgs) -> Done {
    if args.which.is_all() && !args.all {
        let error = ApiError::new(Kind::Usage, "replay_unbounded", "this would bring back all dead jobs");
        return Err(error.hint("name a job or a filter, or say --all; --preview shows which it would be").into());
    }
    let more = [
        ("n", Some(args.n.to_string())),
        ("into", args.into.clone()),
        ("preview", args.preview.then(|| "true".to_string())),
    ];
    let path = format!("/v1/queue/dead/replay{}", pairs(&args.which, more));
    let told: Value = super::super::client(global)?.json(Method::POST, &path, body(Bytes::new())).await?;
    let replayed: Replayed = serde_json::from_value(told.clone()).map_err(std::io::Error::from)?;
    if let (Some(id), true, false) = (args.which.job, replayed.jobs.is_empty(), replayed.stopped_by_limit) {
        return Err(not_dead(id).into());
    }
    if global.json {
        output::json_line(&told)?;
    } else {
        if args.preview && !replayed.jobs.is_empty() {
            output::table(&HEADER, replayed.jobs.iter().map(cells))?;
        }
        let would = if args.preview { " would be" } else { "" };
        output::line(&format!("{}{would} replayed", replayed.jobs.len()))?;
    }
    if replayed.stopped_by_limit {
        let error = ApiError::new(Kind::Policy, "replay_stopped", "the tube has no room for the next one");
        return Err(error.hint("let workers catch up and replay the rest, or name another tube with --into").into());
    }
    Ok(())
}

fn not_dead(id: u64) -> ApiError {
    ApiError::new(Kind::NotFound, "no_such_job", format!("job {id} is not dead, or somebody holds it"))
        .hint("`forebay queue dead` lists those that are")
}

fn pairs(which: &DeadFlags, more: [(&'static str, Option<String>); 3]) -> String {
    let now_ms = SystemClock::new().wall().millis();
    let ago = |seconds: Option<u32>| seconds.map(|s| now_ms.saturating_sub(u64::from(s) * 1_000).to_string());
    let [n, into, preview] = more;
    which.scope.pairs([
        ("id", which.job.map(|id| id.to_string())),
        ("tube", which.tube.clone()),
        ("from", which.from.clone()),
        ("end", which.end.clone()),
        ("reason", which.reason.clone()),
        ("since_ms", ago(which.since)),
        ("before_ms", ago(which.before)),
        n,
        into,
        preview,
    ])
}

fn cells(job: &DeadJob) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.from.clone(),
        job.tube.clone(),
        ago(job.died_ms),
        job.end.word().into(),
        job.reserves.to_string(),
        job.failures.to_string(),
        some(&job.worker),
        some(&job.reason),
    ]
}

fn print_one(job: &DeadJob) -> Done {
    let lines = [
        ("job", format!("{}, {} bytes, put {} ago", job.id, job.bytes, ago(job.created_ms))),
        ("died", format!("in {}, {} ago: {}", job.from, ago(job.died_ms), job.end.word())),
        ("lies in", format!("{}, {}", job.tube, job.state)),
        (
            "attempts",
            format!(
                "{} reserves: {} failed, {} timed out, {} released",
                job.reserves, job.failures, job.timeouts, job.releases
            ),
        ),
    ];
    for (what, value) in lines {
        output::line(&format!("{what:<11} {value}"))?;
    }
    output::line("")?;
    let attempts = job.attempts.iter().map(|attempt| {
        let at = output::local_time(attempt.at_ms.saturating_mul(1_000_000));
        vec![at, attempt.end.word().to_owned(), some(&attempt.worker), some(&attempt.reason)]
    });
    Ok(output::table(&["ended", "how", "worker", "reason"], attempts)?)
}

fn ago(at_ms: u64) -> String {
    output::ago(SystemClock::new().wall().millis().saturating_sub(at_ms) / 1_000)
}

/// `-` for an empty text.
fn some(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.to_owned() }
}
