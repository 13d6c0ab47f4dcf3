//! The deploy plane's part of the admin API.
//!
//! ```text
//! POST   /v1/deploys?app=shop                 body: tar of the source         -> NDJSON of Progress
//! POST   /v1/apps/{app}/rollback?to=2                                         -> NDJSON of Progress
//! POST   /v1/apps/{app}/scale                 {"web": 3}                      -> NDJSON of Progress
//! GET    /v1/instances                                                        -> Listing<InstanceRow>
//! GET    /v1/releases?app=shop                                                -> Listing<ReleaseRow>
//! GET    /v1/apps/{app}/digest                                                -> ServingRow
//! GET    /v1/apps/{app}/secrets                                               -> Listing<SecretRow>
//! PUT    /v1/apps/{app}/secrets/{key}         body: the value                 -> SecretRow
//! DELETE /v1/apps/{app}/secrets/{key}                                         -> SecretRow
//! ```
//! `?env=` everywhere, `production` when it is absent; `?wait=true` makes a change wait for the one under way. A change
//! that is refused before its first phase is answered with its error's status, one that fails later ends its stream
//! with `failed`.

use std::collections::BTreeMap;
use std::io::{self, Read};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use control::auth::Caller;
use control::error::{ApiError, Kind};
use control::wire::{InstanceRow, Listing, Progress, ReleaseRow, SecretRow, ServingRow};
use futures_util::StreamExt;
use serde::Deserialize;
use state::Sensitive;
use state::audit::AuditRow;
use state::releases::Release;
use stdx::ids::{AppName, EnvName, ProcessName, ReleaseNo, Scope};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::errors::of_state;
use crate::node::{Handle, no_such_app};
use crate::progress::Reporter;
use crate::seams::Plan;
use crate::side::{Request, Want};
use crate::source::SourceLimits;
use crate::staging::Staged;

/// Bytes of a secret's value.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Bytes of a scale request.
const SCALE_BYTES_MAX: usize = 64 << 10;
/// Characters of a secret's key.
const SECRET_KEY_MAX: usize = 100;
/// Pieces of an upload that wait for the disk.
const PIECES_MAX: usize = 16;

/// The routes of the deploy plane.
pub fn routes(handle: Handle) -> Router {
    Router::new()
        .route("/v1/deploys", post(deploy))
        .route("/v1/apps/{app}/rollback", post(rollback))
        .route("/v1/apps/{app}/scale", post(scale))
        .route("/v1/apps/{app}/digest", get(digest))
        .route("/v1/apps/{app}/secrets", get(secrets))
        .route("/v1/apps/{app}/secrets/{key}", put(secret_put).delete(secret_remove))
        .route("/v1/instances", get(instances))
        .route("/v1/releases", get(releases))
        .with_state(handle)
}

/// What stands behind the `?`.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    app: Option<String>,
    env: Option<String>,
    to: Option<String>,
    #[serde(default)]
    wait: bool,
}

impl Asked {
    fn env(&self) -> Result<EnvName, ApiError> {
        self.env.as_deref().map_or_else(|| Ok(EnvName::production()), |env| EnvName::new(env).map_err(bad_name))
    }

    fn scope(&self, app: &str) -> Result<Scope, ApiError> {
        Ok(Scope { app: AppName::new(app).map_err(bad_name)?, env: self.env()? })
    }

    /// The applications that a listing is about: one, or those of an environment, or all.
    fn names(&self, scope: &Scope) -> bool {
        self.app.as_deref().is_none_or(|app| app == scope.app.as_str())
            && self.env.as_deref().is_none_or(|env| env == scope.env.as_str())
    }

    fn release(&self) -> Result<Option<ReleaseNo>, ApiError> {
        let Some(text) = &self.to else { return Ok(None) };
        let number = text.strip_prefix('v').unwrap_or(text).parse().map(ReleaseNo);
        number.map(Some).map_err(|_| usage("release_malformed", format!("`{text}` is no release: write v2")))
    }
}

type Who = Option<Extension<Caller>>;

fn name(who: Who) -> String {
    who.map_or_else(|| "unknown".into(), |Extension(caller)| caller.to_string())
}

async fn deploy(
    State(handle): State<Handle>,
    who: Who,
    Query(asked): Query<Asked>,
    body: Body,
) -> Result<Response, ApiError> {
    let app = asked.app.as_deref().ok_or_else(|| usage("app_missing", "name the application: ?app=NAME".into()))?;
    let scope = asked.scope(app)?;
    let staged = receive(&handle, &scope, body).await?;
    let (staged, plan) = read_plan(&handle, staged).await?;
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

/// The body, unpacked beside the application's releases. Reading and writing wait for each other.
async fn receive(handle: &Handle, scope: &Scope, body: Body) -> Result<Staged, ApiError> {
    let (pieces, incoming) = mpsc::channel(PIECES_MAX);
    let (releases, at) = (handle.node.releases.clone(), scope.clone());
    let limits = SourceLimits::from(&handle.node.config);
    let unpacking = tokio::task::spawn_blocking(move || releases.stage(&at, Upload::new(incoming), limits));
    let feeding = async move {
        let mut stream = body.into_data_stream();
        while let Some(piece) = stream.next().await {
            // An unpacker that has refused the archive takes no more of it.
            if pieces.send(piece.map_err(io::Error::other)).await.is_err() {
                break;
            }
        }
    };
    let ((), unpacked) = tokio::join!(feeding, unpacking);
    unpacked.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "source_not_written", error.to_string())))
}

async fn read_plan(handle: &Handle, staged: Staged) -> Result<(Staged, Plan), ApiError> {
    let planner = handle.node.planner.clone();
    let reading = tokio::task::spawn_blocking(move || planner.plan(staged.folder()).map(|plan| (staged, plan)));
    reading.await.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "manifest_unreadable", error.to_string())))
}

async fn rollback(
    State(handle): State<Handle>,
    who: Who,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let scope = known(&handle, asked.scope(&app)?).await?;
    change(&handle, &scope, Want::Rollback(asked.release()?), who, asked.wait, 1).await
}

async fn scale(
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

async fn instances(State(handle): State<Handle>, Query(asked): Query<Asked>) -> Json<Listing<InstanceRow>> {
    let is_asked = |row: &InstanceRow| asked.names(&Scope { app: row.app.clone(), env: row.environment.clone() });
    Json(Listing::new(handle.rows().await.into_iter().filter(is_asked).collect()))
}

async fn releases(
    State(handle): State<Handle>,
    Query(asked): Query<Asked>,
) -> Result<Json<Listing<ReleaseRow>>, ApiError> {
    let store = &handle.node.store;
    let apps = store.apps().await.map_err(|e| of_state(&e))?;
    if let Some(app) = &asked.app
        && !apps.iter().any(|known| asked.names(&known.scope))
    {
        return Err(no_such_app(&asked.scope(app)?));
    }
    let mut rows = Vec::new();
    for app in apps.into_iter().filter(|app| asked.names(&app.scope)) {
        let all = store.releases(app.scope).await.map_err(|e| of_state(&e))?;
        rows.extend(all.into_iter().map(release_row));
    }
    Ok(Json(Listing::new(rows)))
}

fn release_row(release: Release) -> ReleaseRow {
    ReleaseRow {
        app: release.scope.app,
        environment: release.scope.env,
        release: release.no,
        state: release.state.to_string(),
        created_ns: release.created.0,
        origin: release.origin,
        digest: release.content.digest,
        reason: release.reason,
    }
}

async fn digest(
    State(handle): State<Handle>,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<ServingRow>, ApiError> {
    let scope = asked.scope(&app)?;
    let store = &handle.node.store;
    let found = store.app(scope.clone()).await.map_err(|e| of_state(&e))?;
    let Some(current) = found.and_then(|app| app.current) else {
        return Ok(Json(ServingRow { release: None, digest: None }));
    };
    let release = store.release(scope, current).await.map_err(|e| of_state(&e))?;
    Ok(Json(ServingRow { release: Some(current), digest: release.map(|release| release.content.digest) }))
}

async fn secrets(
    State(handle): State<Handle>,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Listing<SecretRow>>, ApiError> {
    let rows = handle.node.store.secrets(asked.scope(&app)?).await.map_err(|e| of_state(&e))?;
    let row = |row: state::secrets::SecretRow| SecretRow { key: row.key, version: row.version, set_ns: row.created.0 };
    Ok(Json(Listing::new(rows.into_iter().map(row).collect())))
}

async fn secret_put(
    State(handle): State<Handle>,
    who: Who,
    Path((app, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    body: Body,
) -> Result<Json<SecretRow>, ApiError> {
    let scope = asked.scope(&app)?;
    check_key(&key)?;
    let value = Sensitive::new(small(body, SECRET_BYTES_MAX).await?.to_vec());
    let now = handle.node.clock.wall();
    let stored = handle.node.store.secret_put(scope.clone(), key.clone(), value, now).await.map_err(|e| of_state(&e));
    audit(&handle, who, "secret_set", &scope, &key, stored.as_ref().err()).await;
    Ok(Json(SecretRow { version: stored?, key, set_ns: now.0 }))
}

async fn secret_remove(
    State(handle): State<Handle>,
    who: Who,
    Path((app, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<SecretRow>, ApiError> {
    let scope = asked.scope(&app)?;
    let now = handle.node.clock.wall();
    let removed = handle.node.store.secret_remove(scope.clone(), key.clone(), now).await.map_err(|e| of_state(&e));
    let missing = || ApiError::new(Kind::NotFound, "secret_not_found", format!("{scope} has no secret {key}"));
    let removed = removed.and_then(|version| version.ok_or_else(missing));
    audit(&handle, who, "secret_remove", &scope, &key, removed.as_ref().err()).await;
    Ok(Json(SecretRow { version: removed?, key, set_ns: now.0 }))
}

async fn audit(handle: &Handle, who: Who, what: &str, scope: &Scope, target: &str, error: Option<&ApiError>) {
    let row = AuditRow {
        time: handle.node.clock.wall(),
        who: name(who),
        what: what.into(),
        scope: Some(scope.clone()),
        target: target.into(),
        outcome: error.map_or_else(|| "ok".into(), |error| error.code.clone()),
    };
    if let Err(error) = handle.node.store.audit(row).await {
        tracing::error!(%scope, what, %error, "the audit row is not written");
    }
}

/// An application that was deployed once.
async fn known(handle: &Handle, scope: Scope) -> Result<Scope, ApiError> {
    match handle.node.store.app(scope.clone()).await.map_err(|e| of_state(&e))? {
        Some(_) => Ok(scope),
        None => Err(no_such_app(&scope)),
    }
}

/// A key is a variable's and a file's name.
fn check_key(key: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let ok = (1..=SECRET_KEY_MAX).contains(&key.len()) && key.bytes().all(plain) && !key.as_bytes()[0].is_ascii_digit();
    if ok {
        Ok(())
    } else {
        Err(usage("secret_key_malformed", format!("`{key}` cannot be the key of a secret"))
            .hint("use 1 to 100 letters, digits and '_', not beginning with a digit"))
    }
}

async fn small(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, bytes_max)
        .await
        .map_err(|e| usage("body_unusable", format!("the body is longer than {bytes_max} bytes or broke off: {e}")))
}

fn bad_name(error: stdx::ids::NameError) -> ApiError {
    usage("name_malformed", error.to_string())
}

fn usage(code: &str, message: String) -> ApiError {
    ApiError::new(Kind::Usage, code, message)
}

/// A request's body, for a thread that reads.
struct Upload {
    incoming: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Upload {
    fn new(incoming: mpsc::Receiver<io::Result<Bytes>>) -> Upload {
        Upload { incoming, piece: Bytes::new() }
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.incoming.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let n = self.piece.len().min(into.len());
        into[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}
