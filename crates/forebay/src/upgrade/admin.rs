//! `GET /v1/process` -> [`ProcessRow`]; `POST /v1/upgrade` begins one -> the row as it then is.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use control::error::ApiError;
use control::wire::ProcessRow;

use super::Upgrades;

/// The routes about the process itself.
pub(crate) fn routes(upgrades: Upgrades) -> Router {
    Router::new().route("/v1/process", get(process)).route("/v1/upgrade", post(begin)).with_state(upgrades)
}

async fn process(State(upgrades): State<Upgrades>) -> Json<ProcessRow> {
    Json(upgrades.row())
}

async fn begin(State(upgrades): State<Upgrades>) -> Result<Json<ProcessRow>, ApiError> {
    upgrades.ask()?;
    Ok(Json(upgrades.row()))
}
