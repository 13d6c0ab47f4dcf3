//! The queue's part of the admin API.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use control::error::ApiError;
use control::wire::{Listing, QueueRow};

use crate::handle::Handle;
use crate::http::{self, Api, Scoping};

/// `GET /v1/queues`: all tubes, by namespace and name; and everything below `/v1/queue`, for operators.
pub fn routes(handle: Handle) -> Router {
    let api = Api { handle: handle.clone(), scoping: Scoping::ByQuery, bodies: None };
    Router::new().route("/v1/queues", get(list)).with_state(handle).merge(http::routes(api))
}

async fn list(State(handle): State<Handle>) -> Result<Json<Listing<QueueRow>>, ApiError> {
    Ok(Json(Listing::new(handle.rows().await?)))
}
