//! The queue's part of the admin API.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use control::error::ApiError;
use control::wire::{Listing, QueueRow};

use crate::handle::Handle;

/// `GET /v1/queues`: all tubes, by namespace and name.
pub fn routes(handle: Handle) -> Router {
    Router::new().route("/v1/queues", get(list)).with_state(handle)
}

async fn list(State(handle): State<Handle>) -> Result<Json<Listing<QueueRow>>, ApiError> {
    Ok(Json(Listing::new(handle.rows().await?)))
}
