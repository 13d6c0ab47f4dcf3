//! Looking at jobs, and what operators do to one.

use axum::Json;
use axum::extract::{Path, State};
use control::error::ApiError;
use control::wire::{JobRow, Listing};
use stdx::base64;

use super::Api;
use super::asked::{Asked, id, tube};
use super::tubes::Done;
use crate::door::{JobAndBody, StateName};

/// Jobs of a listing that names no number.
const LIST_JOBS: usize = 100;

pub(super) async fn list(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Listing<JobRow>>, ApiError> {
    let (state, n) = (asked.params.state()?, asked.params.n.unwrap_or(LIST_JOBS));
    Ok(Json(Listing::new(api.handle.jobs(&asked.namespace, tube(&name)?, state, n).await?)))
}

pub(super) async fn peek_first(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Listing<JobRow>>, ApiError> {
    let state = asked.params.state()?.unwrap_or(StateName::Ready);
    let first = api.handle.peek_first(&asked.namespace, tube(&name)?, state).await?;
    Ok(Json(Listing::new(first.into_iter().map(with_body).collect())))
}

pub(super) async fn peek(
    State(api): State<Api>,
    Path(job): Path<String>,
    asked: Asked,
) -> Result<Json<JobRow>, ApiError> {
    Ok(Json(with_body(api.handle.peek(&asked.namespace, id(&job)?).await?)))
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path(job): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, ApiError> {
    api.handle.delete(&asked.namespace, id(&job)?).await?;
    Ok(Done::of(1))
}

pub(super) async fn kick(
    State(api): State<Api>,
    Path(job): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, ApiError> {
    api.handle.kick_job(&asked.namespace, id(&job)?).await?;
    Ok(Done::of(1))
}

/// The row with the body in it: as text where it is text.
pub(super) fn with_body(job: JobAndBody) -> JobRow {
    let mut row = job.row;
    match std::str::from_utf8(&job.body) {
        Ok(text) => row.body = Some(text.to_owned()),
        Err(_) => row.body_base64 = Some(base64::encode(&job.body)),
    }
    row
}
