//! Deploy, rollback and scale: a request becomes a change, its progress the answer.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use control::error::{ApiError, Kind};
use control::wire::Progress;
use futures_util::StreamExt;
use stdx::ids::{AppName, ProcessName, Scope};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::upload::receive;
use super::{Asked, Who, name, small, usage};
use crate::errors::of_state;
use crate::node::{Handle, no_such_app};
use crate::progress::Reporter;
use crate::seams::Plan;
use crate::side::{Request, Want};
use crate::staging::Staged;

/// Bytes of a scale request.
const SCALE_BYTES_MAX: usize = 64 << 10;

pub(super) async fn deploy(
    State(handle): State<Handle>,
    who: Who,
    Query(asked): Query<Asked>,
    body: Body,
) -> Result<Response, ApiError> {
    let app = asked.app.as_deref().ok_or_else(|| usage("app_missing", "name the application: ?app=NAME".into()))?;
    let scope = asked.scope(app)?;
    let staged = receive(&handle, &scope, body).await?;
    let (staged, plan) = read_plan(&handle, staged, scope.app.clone()).await?;
    if plan.app != scope.app {
        let message = format!("the manifest is of the application {}, not {}", plan.app, scope.app);
        return Err(usage("app_mismatch", message).hint("deploy the right folder, or change `app` in forebay.toml"));
    }
    let (progress, listener) = Reporter::new();
    progress.phase(1, format!("unpack {} files, {} bytes", staged.unpacked.files, staged.unpacked.bytes));
    progress.phase(2, "read the manifest");
    let want = Want::Deploy(Box::new((staged, plan)));
    let request = Request { want, progress, who: name(who), wait: asked.wait };
    handle.request(&scope, request).await?;
    follow(listener, 2).await
}

async fn read_plan(handle: &Handle, staged: Staged, app: AppName) -> Result<(Staged, Plan), ApiError> {
    let planner = handle.node.planner.clone();
    let reading = tokio::task::spawn_blocking(move || planner.plan(staged.folder(), &app).map(|plan| (staged, plan)));
    reading.await.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "manifest_unreadable", error.to_string())))
}

pub(super) async fn rollback(
    State(handle): State<Handle>,
    who: Who,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let scope = known(&handle, asked.scope(&app)?).await?;
    change(&handle, &scope, Want::Rollback(asked.release()?), who, asked.wait, 1).await
}

pub(super) async fn scale(
    State(handle): State<Handle>,
    who: Who,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
    body: Body,
) -> Result<Response, ApiError> {
    let scope = known(&handle, asked.scope(&app)?).await?;
    let counts: BTreeMap<ProcessName, u16> = serde_json::from_slice(&small(body, SCALE_BYTES_MAX).await?)
        .map_err(|e| usage("scale_malformed", format!("write {{\"web\": 3}}: {e}")))?;
    if counts.is_empty() {
        return Err(usage("scale_malformed", "name at least one process: {\"web\": 3}".into()));
    }
    change(&handle, &scope, Want::Scale(counts), who, asked.wait, 0).await
}

async fn change(
    handle: &Handle,
    scope: &Scope,
    want: Want,
    who: Who,
    wait: bool,
    quiet: usize,
) -> Result<Response, ApiError> {
    let (progress, listener) = Reporter::new();
    handle.request(scope, Request { want, progress, who: name(who), wait }).await?;
    follow(listener, quiet).await
}

/// Answers with the change's lines as they come. What fails within the first `quiet` lines or right after them, before
/// anything was started, is answered as an error.
async fn follow(mut listener: mpsc::Receiver<Progress>, quiet: usize) -> Result<Response, ApiError> {
    let mut lines = Vec::new();
    while lines.len() <= quiet {
        match listener.recv().await {
            Some(Progress::Failed { error }) => return Err(error),
            Some(line) => lines.push(line),
            None => break,
        }
    }
    let rest = futures_util::stream::iter(lines).chain(ReceiverStream::new(listener));
    let body = Body::from_stream(rest.map(|line| ndjson(&line)));
    Ok(([(axum::http::header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn ndjson(line: &Progress) -> Result<Bytes, serde_json::Error> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text.into())
}

/// An application that was deployed once.
async fn known(handle: &Handle, scope: Scope) -> Result<Scope, ApiError> {
    match handle.node.store.app(scope.clone()).await.map_err(|e| of_state(&e))? {
        Some(_) => Ok(scope),
        None => Err(no_such_app(&scope)),
    }
}
