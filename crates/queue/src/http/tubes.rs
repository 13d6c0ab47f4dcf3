//! Looking at tubes, and what operators do to one.

use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use control::error::{ApiError, Kind};
use control::wire::{AlertRow, CronRow, Listing, QueueRow, QueueStatus};
use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName};

use super::asked::{Asked, malformed, tube};
use super::put::json;
use super::{Api, Scoping};
use crate::backup::Copied;
use crate::door::{self, PauseNote};
use crate::names::Namespace;

/// Something was done, to so many jobs.
#[derive(Serialize)]
pub(super) struct Done {
    schema: u32,
    jobs: u64,
}

impl Done {
    pub(super) fn of(jobs: u64) -> Json<Done> {
        Json(Done { schema: 1, jobs })
    }
}

pub(super) async fn status(State(api): State<Api>) -> Result<Json<QueueStatus>, ApiError> {
    for_operators(&api)?;
    Ok(Json(api.handle.figures().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    to: PathBuf,
}

pub(super) async fn snapshot(State(api): State<Api>, body: Body) -> Result<Json<Copied>, ApiError> {
    for_operators(&api)?;
    let Snapshot { to } = json(&api, body).await?;
    Ok(Json(api.handle.snapshot(to).await?))
}

fn for_operators(api: &Api) -> Result<(), ApiError> {
    match api.scoping {
        Scoping::ByQuery => Ok(()),
        Scoping::ByToken => Err(ApiError::new(Kind::NotFound, "no_such_endpoint", "this is for operators")),
    }
}

pub(super) async fn crons(State(api): State<Api>, asked: Asked) -> Result<Json<Listing<CronRow>>, ApiError> {
    Ok(Json(Listing::new(api.handle.crons(&asked.namespace).await?)))
}

pub(super) async fn alerts(State(api): State<Api>, asked: Asked) -> Result<Json<Listing<AlertRow>>, ApiError> {
    let mut rows = api.handle.alerts();
    if api.scoping != Scoping::ByQuery || asked.params.app.is_some() {
        rows.retain(|row| belongs(row.app.as_ref(), row.environment.as_ref(), &asked.namespace));
    }
    Ok(Json(Listing::new(rows)))
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Result<Json<Listing<QueueRow>>, ApiError> {
    let mut rows = api.handle.rows().await?;
    if api.scoping != Scoping::ByQuery || asked.params.app.is_some() {
        rows.retain(|row| is_of(row, &asked.namespace));
    }
    Ok(Json(Listing::new(rows)))
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<QueueRow>, ApiError> {
    let tube = tube(&name)?;
    let rows = api.handle.rows().await?;
    let found = rows.into_iter().find(|row| row.tube == tube.as_str() && is_of(row, &asked.namespace));
    found.map(Json).ok_or_else(|| door::no_such_tube(tube.as_str()))
}

pub(super) async fn kick(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, ApiError> {
    let jobs_max = asked.params.jobs.unwrap_or(1);
    Ok(Done::of(api.handle.kick(&asked.namespace, tube(&name)?, jobs_max).await?))
}

pub(super) async fn pause(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, ApiError> {
    let for_s = asked.params.for_s.filter(|seconds| *seconds > 0);
    let for_s = for_s.ok_or_else(|| malformed("say for how long: for_s=N"))?;
    let note = PauseNote::new(&asked.who, asked.params.why.as_deref().unwrap_or_default());
    api.handle.pause(&asked.namespace, tube(&name)?, for_s, note).await?;
    Ok(Done::of(0))
}

pub(super) async fn resume(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Done>, ApiError> {
    api.handle.pause(&asked.namespace, tube(&name)?, 0, PauseNote::default()).await?;
    Ok(Done::of(0))
}

fn is_of(row: &QueueRow, namespace: &Namespace) -> bool {
    belongs(row.app.as_ref(), row.environment.as_ref(), namespace)
}

fn belongs(app: Option<&AppName>, environment: Option<&EnvName>, namespace: &Namespace) -> bool {
    let scope = namespace.0.as_ref();
    app == scope.map(|scope| &scope.app) && environment == scope.map(|scope| &scope.env)
}
