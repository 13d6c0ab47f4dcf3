//! Dead jobs: found by what a request says, and brought back.

use axum::Json;
use axum::extract::State;
use control::error::ApiError;
use control::wire::Listing;
use serde::Serialize;

use super::Api;
use super::asked::{Asked, Params, tube};
use crate::door::{DeadFilter, DeadJob, LIST_JOBS_MAX, Replayed};

/// Jobs of a listing that names no number.
const LIST_JOBS: usize = 100;

/// What a replay did, or would do.
#[derive(Serialize)]
pub(super) struct Answer {
    schema: u32,
    preview: bool,
    #[serde(flatten)]
    replayed: Replayed,
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Result<Json<Listing<DeadJob>>, ApiError> {
    let n = asked.params.n.unwrap_or(LIST_JOBS);
    Ok(Json(Listing::new(api.handle.dead(&asked.namespace, filter(&asked.params)?, n).await?)))
}

pub(super) async fn replay(State(api): State<Api>, asked: Asked) -> Result<Json<Answer>, ApiError> {
    let (n, preview) = (asked.params.n.unwrap_or(LIST_JOBS_MAX), asked.params.preview.unwrap_or(false));
    let replayed = api.handle.replay(&asked.namespace, filter(&asked.params)?, n, preview).await?;
    Ok(Json(Answer { schema: 1, preview, replayed }))
}

fn filter(params: &Params) -> Result<DeadFilter, ApiError> {
    for name in [&params.tube, &params.from, &params.into].into_iter().flatten() {
        tube(name)?;
    }
    Ok(DeadFilter {
        id: params.id,
        tube: params.tube.clone(),
        from: params.from.clone(),
        end: params.end,
        reason: params.reason.clone(),
        since_ms: params.since_ms,
        before_ms: params.before_ms,
        into: params.into.clone(),
    })
}
