//! `forebay queue import`: the jobs of a beanstalkd binlog folder.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use control::client::{Client, body};
use control::error::{ApiError, Kind};
use http::Method;
use queue::import::binlog::{self, Imported};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stdx::clock::{Clock, SystemClock, Wall};

use super::segment;
use crate::args::{Global, ImportArgs};
use crate::output::{self, Done};

/// A job that is to be buried is put with this delay first, so that nobody gets it in between.
const UNTIL_BURIED_S: u64 = 86_400;

/// What was done.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    schema: u32,
    jobs: usize,
    buried: usize,
    delayed: usize,
    dry_run: bool,
    damage: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Put {
    id: u64,
}

pub(super) async fn run(global: &Global, args: &ImportArgs) -> Done {
    let files = read_folder(&args.folder)?;
    let found = binlog::read(files.iter().map(|(_, name, bytes)| (name.as_str(), bytes.as_slice())));
    for damage in &found.damage {
        output::progress(&format!("damaged: {damage}"));
    }
    let summary = Summary {
        schema: 1,
        jobs: found.jobs.len(),
        buried: found.jobs.iter().filter(|job| job.buried).count(),
        delayed: found.jobs.iter().filter(|job| job.due_ns.is_some()).count(),
        dry_run: args.dry_run,
        damage: found.damage,
    };
    if !args.dry_run {
        let client = super::super::client(global)?;
        for job in &found.jobs {
            put(&client, args, job).await?;
        }
    }
    if global.json {
        return Ok(output::json_line(&summary)?);
    }
    let done = if args.dry_run { "found" } else { "imported" };
    let Summary { jobs, buried, delayed, .. } = summary;
    Ok(output::line(&format!("{jobs} jobs {done}, {buried} of them buried, {delayed} delayed"))?)
}

async fn put(client: &Client, args: &ImportArgs, job: &Imported) -> Result<(), ApiError> {
    let delay_s = match job.due_ns {
        _ if job.buried => UNTIL_BURIED_S,
        // Rounded up: never too early.
        Some(due) => {
            u64::try_from(Wall(due).since(SystemClock::new().wall()).as_nanos().div_ceil(1_000_000_000)).unwrap_or(0)
        }
        None => 0,
    };
    let pairs = args.scope.pairs([
        ("pri", Some(job.pri.to_string())),
        ("ttr_s", Some(job.ttr_s.to_string())),
        ("delay_s", Some(delay_s.min(u32::MAX.into()).to_string())),
    ]);
    let path = format!("/v1/queue/tubes/{}/jobs{pairs}", segment(&job.tube));
    let at = |error: ApiError| error.at(format!("job {} of {}; those before it are imported", job.id, job.tube));
    let Put { id } = client.json(Method::POST, &path, body(job.body.clone())).await.map_err(at)?;
    if job.buried {
        let path = format!("/v1/queue/jobs/{id}/bury{}", args.scope.pairs([]));
        client.json::<Value>(Method::POST, &path, body(Bytes::new())).await.map_err(at)?;
    }
    Ok(())
}

/// Number, name and bytes of each file, in order.
fn read_folder(folder: &Path) -> Result<Vec<(u64, String, Vec<u8>)>, ApiError> {
    let failed = |error: std::io::Error| {
        ApiError::new(Kind::Failed, "import_unreadable", format!("cannot read the binlog: {error}"))
            .at(folder.display().to_string())
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if let Some(number) = binlog::number(&name) {
            let bytes = fs::read(folder.join(&name)).map_err(failed)?;
            files.push((number, name, bytes));
        }
    }
    files.sort_unstable_by_key(|(number, ..)| *number);
    if files.is_empty() {
        let none = ApiError::new(Kind::NotFound, "import_empty", "there is no binlog.N in the folder");
        return Err(none.at(folder.display().to_string()).hint("name the folder of beanstalkd's -b"));
    }
    Ok(files)
}
