//! What runs, what was released, what serves.

use axum::Json;
use axum::extract::{Path, Query, State};
use control::error::ApiError;
use control::wire::{DependencyRow, InstanceRow, Listing, ReleaseRow, ServingRow};
use state::releases::Release;
use stdx::ids::Scope;

use super::Asked;
use crate::errors::of_state;
use crate::node::{Handle, no_such_app};

pub(super) async fn instances(State(handle): State<Handle>, Query(asked): Query<Asked>) -> Json<Listing<InstanceRow>> {
    let is_asked = |row: &InstanceRow| asked.names(&Scope { app: row.app.clone(), env: row.environment.clone() });
    Json(Listing::new(handle.rows().await.into_iter().filter(is_asked).collect()))
}

pub(super) async fn dependencies(
    State(handle): State<Handle>,
    Query(asked): Query<Asked>,
) -> Json<Listing<DependencyRow>> {
    let states = handle.dependencies(None).into_iter().filter(|state| asked.names(&state.scope));
    let rows = states.map(|state| DependencyRow {
        app: state.scope.app,
        environment: state.scope.env,
        dependency: state.name,
        health: if state.unchecked { "unchecked".into() } else { state.health.to_string() },
        checked_s_ago: state.age.as_secs(),
        reason: state.reason,
    });
    Json(Listing::new(rows.collect()))
}

pub(super) async fn releases(
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

pub(super) async fn digest(
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
