//! The plane's part of the admin API: `GET /v1/logs` and `GET /v1/trace/{id}`.

use std::convert::Infallible;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use control::error::{ApiError, ErrorBody, Kind};
use control::wire::{Listing, LogRow};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;
use stdx::ids::{AppName, EnvName, ProcessName};
use stdx::trace::TraceId;

use crate::error::QueryError;
use crate::handle::Handle;
use crate::level::Level;
use crate::queries::Rows;
use crate::query::{Filter, Query};

/// Bytes after which a piece of the answer is sent, if there is more.
const PIECE_BYTES: usize = 32 << 10;

/// `GET /v1/logs` gives JSON lines, one row each; `GET /v1/trace/{id}` gives a listing.
pub fn routes(handle: Handle) -> Router {
    Router::new().route("/v1/logs", get(logs)).route("/v1/trace/{id}", get(trace)).with_state(handle)
}

/// What `GET /v1/logs` understands; all of it must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogsParameters {
    app: Option<AppName>,
    env: Option<EnvName>,
    process: Option<ProcessName>,
    instance: Option<String>,
    /// This level or worse.
    level: Option<String>,
    /// Milliseconds since the epoch.
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    /// Only the last so many.
    n: Option<u32>,
    #[serde(default)]
    follow: bool,
    /// The query language of `docs/logs.md`.
    q: Option<String>,
}

impl LogsParameters {
    fn query(self) -> Result<Query, QueryError> {
        let mut filter = Filter::parse(self.q.as_deref().unwrap_or_default())?;
        if let Some(word) = self.level {
            filter = filter.level(Level::from_word(&word).ok_or(QueryError::Level { word })?);
        }
        filter = self.app.into_iter().fold(filter, Filter::app);
        filter = self.env.into_iter().fold(filter, Filter::env);
        filter = self.process.into_iter().fold(filter, Filter::process);
        filter = self.instance.into_iter().fold(filter, Filter::instance);
        Ok(Query {
            since: self.since_ms.map(Wall::from_millis),
            until: self.until_ms.map(Wall::from_millis),
            filter,
            n: self.n,
            follow: self.follow,
        })
    }
}

async fn logs(
    State(handle): State<Handle>,
    parameters: Result<Parameters<LogsParameters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Parameters(parameters) = parameters.map_err(|e| {
        ApiError::new(Kind::Usage, "query_parameters", e.body_text())
            .hint("expected app, env, process, instance, level, since_ms, until_ms, n, follow, q")
    })?;
    let rows = handle.query(parameters.query()?)?;
    let pieces = stream::unfold(Some(rows), async |rows| {
        let (piece, rest) = piece(rows?).await?;
        Some((Ok::<Bytes, Infallible>(piece), rest))
    });
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    Ok(([(CONTENT_TYPE, ndjson)], Body::from_stream(pieces)).into_response())
}

/// The rows that are there, at least one, as lines. An error is the last line: `{"error": {...}}`.
async fn piece(mut rows: Rows) -> Option<(Bytes, Option<Rows>)> {
    let mut piece = Vec::new();
    match rows.next().await? {
        Ok(row) => line(&mut piece, &row),
        Err(e) => {
            line(&mut piece, &ErrorBody { error: e.into() });
            return Some((piece.into(), None));
        }
    }
    while piece.len() < PIECE_BYTES
        && let Some(row) = rows.ready()
    {
        line(&mut piece, &row);
    }
    Some((piece.into(), Some(rows)))
}

/// Rows have string keys only, so they always have a JSON form.
fn line(piece: &mut Vec<u8>, row: &impl Serialize) {
    let before = piece.len();
    match serde_json::to_writer(&mut *piece, row) {
        Ok(()) => piece.push(b'\n'),
        Err(error) => {
            tracing::error!(target: "logs", %error, "a row has no JSON form");
            piece.truncate(before);
        }
    }
}

async fn trace(State(handle): State<Handle>, Path(id): Path<String>) -> Result<Json<Listing<LogRow>>, ApiError> {
    let trace: TraceId = id.to_ascii_lowercase().parse().map_err(|_| {
        ApiError::new(Kind::Usage, "trace_malformed", format!("`{}` is no trace", id.escape_debug()))
            .hint("expected 32 hex digits, as in the header Forebay-Trace of an answer")
    })?;
    let rows = handle.trace(trace).await?;
    if rows.is_empty() {
        return Err(ApiError::new(Kind::NotFound, "trace_unknown", format!("no record of trace {trace}"))
            .hint("it may be older than what logs.retention_bytes keeps"));
    }
    Ok(Json(Listing::new(rows)))
}
