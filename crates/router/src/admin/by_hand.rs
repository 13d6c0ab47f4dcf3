//! What is set by hand.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use control::auth::Caller;
use control::error::{ApiError, Kind};
use control::wire::Listing;
use control::wire::router::{AuditRow, OverrideRequest, OverrideRow};
use serde::Deserialize;

use crate::handle::Handle;
use crate::overrides::OverrideError;

/// Names of routes that an error lists.
const NAMES_MAX: usize = 20;

/// What stands behind the `?`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    why: Option<String>,
}

pub(super) async fn list(State(handle): State<Handle>) -> Json<Listing<OverrideRow>> {
    Json(Listing::new(handle.set_rows()))
}

pub(super) async fn audit(State(handle): State<Handle>) -> Json<Listing<AuditRow>> {
    Json(Listing::new(handle.audit_rows()))
}

pub(super) async fn set(
    State(handle): State<Handle>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<Json<OverrideRow>, ApiError> {
    let request: OverrideRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(Kind::Usage, "override_malformed", error.to_string()))?;
    on_disk(move || handle.set_by_hand(request, name(caller))).await
}

pub(super) async fn clear(
    State(handle): State<Handle>,
    Path(id): Path<u64>,
    Query(asked): Query<Asked>,
    caller: Option<Extension<Caller>>,
) -> Result<Json<OverrideRow>, ApiError> {
    on_disk(move || handle.clear_by_hand(id, name(caller), asked.why)).await
}

/// Runs what waits for the disk where it holds up nobody.
async fn on_disk(
    change: impl FnOnce() -> Result<OverrideRow, OverrideError> + Send + 'static,
) -> Result<Json<OverrideRow>, ApiError> {
    match tokio::task::spawn_blocking(change).await {
        Ok(changed) => Ok(Json(changed.map_err(told)?)),
        Err(error) => Err(ApiError::new(Kind::Failed, "override_failed", error.to_string())),
    }
}

fn name(caller: Option<Extension<Caller>>) -> String {
    caller.map_or_else(|| "unknown".into(), |Extension(caller)| caller.to_string())
}

/// The one table from what cannot be set to what the operator is told.
fn told(error: OverrideError) -> ApiError {
    let (kind, code) = match &error {
        OverrideError::NoSuchRoute { .. } => (Kind::NotFound, "no_such_route"),
        OverrideError::NoSuchApp(_) => (Kind::NotFound, "no_such_app"),
        OverrideError::NoSuchOverride(_) => (Kind::NotFound, "no_such_override"),
        OverrideError::Malformed(_) => (Kind::Usage, "override_malformed"),
        OverrideError::TooMany => (Kind::Policy, "overrides_too_many"),
        OverrideError::Sealed => (Kind::Conflict, "upgrade_under_way"),
        OverrideError::NotSaved(_) => (Kind::Failed, "overrides_not_saved"),
    };
    let told = ApiError::new(kind, code, error.to_string());
    match error {
        OverrideError::NoSuchRoute { known, .. } if !known.is_empty() => {
            told.details(known.into_iter().take(NAMES_MAX).collect()).hint("name a route as above")
        }
        OverrideError::NoSuchOverride(_) => told.hint("`forebay breaker log` tells what became of it"),
        OverrideError::Sealed => told.hint("try again in a moment: the new process will take it"),
        OverrideError::NotSaved(_) => told.hint("nothing was changed; see to the disk of the data folder"),
        _ => told,
    }
}
