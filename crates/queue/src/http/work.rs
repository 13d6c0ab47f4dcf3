//! What workers do: reserve by long poll, and say what became of a job.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use control::error::{ApiError, Kind};
use control::wire::{JobRow, Listing};
use serde::{Deserialize, Serialize};

use super::Api;
use super::asked::{Asked, Params, id, malformed, tube};
use super::jobs::with_body;
use super::put::json;
use crate::door::{BATCH_JOBS_MAX, Lease, Settle, Settled, WAIT_S_MAX, Wanted};

/// Tubes that one reserve may name.
const TUBES_MAX: usize = 100;

/// Bytes of a worker's name.
const WORKER_BYTES_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reserve {
    tubes: Vec<String>,
    #[serde(default)]
    wait_s: u32,
    #[serde(default = "one")]
    jobs: usize,
    /// Who asks; the caller's address when it does not say.
    #[serde(default)]
    worker: Option<String>,
}

fn one() -> usize {
    1
}

/// What became of a job.
#[derive(Serialize)]
pub(super) struct Outcome {
    schema: u32,
    /// `finished`, `released`, `buried`, `touched`.
    outcome: &'static str,
}

pub(super) async fn reserve(
    State(api): State<Api>,
    asked: Asked,
    body: Body,
) -> Result<Json<Listing<JobRow>>, ApiError> {
    let Reserve { tubes, wait_s, jobs, worker } = json(&api, body).await?;
    if tubes.is_empty() || tubes.len() > TUBES_MAX {
        return Err(malformed(format!("name 1 to {TUBES_MAX} tubes, not {}", tubes.len())));
    }
    if jobs == 0 || jobs > BATCH_JOBS_MAX {
        return Err(malformed(format!("reserve 1 to {BATCH_JOBS_MAX} jobs, not {jobs}")));
    }
    if wait_s > WAIT_S_MAX {
        return Err(malformed(format!("wait at most {WAIT_S_MAX} s, and ask again")));
    }
    let tubes = tubes.iter().map(|name| tube(name)).collect::<Result<Vec<_>, _>>()?;
    let worker = worker.map(named).transpose()?.unwrap_or_else(|| asked.worker().into());
    let wanted = Wanted { tubes, wait_s, jobs_max: jobs, worker };
    let jobs = api.handle.reserve(&asked.namespace, wanted).await?;
    Ok(Json(Listing::new(jobs.into_iter().map(with_body).collect())))
}

pub(super) async fn settle(
    State(api): State<Api>,
    Path((job, verb)): Path<(String, String)>,
    asked: Asked,
) -> Result<Json<Outcome>, ApiError> {
    let job = id(&job)?;
    let (how, word) = how(&verb, &asked.params)?;
    let Some(number) = asked.params.lease else {
        // Operators put jobs aside that nobody holds.
        if verb == "bury" {
            api.handle.bury(&asked.namespace, job).await?;
            return Ok(Json(Outcome { schema: 1, outcome: word }));
        }
        return Err(malformed("say which reservation: lease=N, as `reserve` gave it"));
    };
    let settled = api.handle.settle(&asked.namespace, Lease { id: job, number }, how).await?;
    let outcome = if settled == Settled::Buried { "buried" } else { word };
    Ok(Json(Outcome { schema: 1, outcome }))
}

fn named(worker: String) -> Result<Box<str>, ApiError> {
    let fits = (1..=WORKER_BYTES_MAX).contains(&worker.len()) && !worker.contains(char::is_control);
    if fits {
        Ok(worker.into())
    } else {
        Err(malformed(format!("a worker's name has 1 to {WORKER_BYTES_MAX} bytes of one line")))
    }
}

fn how(verb: &str, params: &Params) -> Result<(Settle, &'static str), ApiError> {
    let pri = params.pri;
    Ok(match verb {
        "finish" => (Settle::Finish, "finished"),
        "fail" => {
            let reason = params.reason.clone().unwrap_or_default();
            (Settle::Fail { reason, delay_s: params.delay_s }, "released")
        }
        "release" => (Settle::Release { pri, delay_s: params.delay_s.unwrap_or(0) }, "released"),
        "bury" => (Settle::Bury { pri }, "buried"),
        "touch" => (Settle::Touch, "touched"),
        _ => return Err(ApiError::new(Kind::NotFound, "no_such_endpoint", format!("nothing is called `{verb}`"))),
    })
}
