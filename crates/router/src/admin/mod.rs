//! The router's part of the admin API.
//!
//! ```text
//! GET    /v1/router/overrides                                           -> Listing<OverrideRow>
//! POST   /v1/router/overrides           OverrideRequest                 -> OverrideRow
//! DELETE /v1/router/overrides/{id}?why=                                 -> OverrideRow
//! GET    /v1/router/audit                                               -> Listing<AuditRow>
//! ```

mod by_hand;

use axum::Router;
use axum::routing::{delete, get};

use crate::handle::Handle;

/// The routes of the router plane.
pub fn routes(handle: Handle) -> Router {
    Router::new()
        .route("/v1/router/overrides", get(by_hand::list).post(by_hand::set))
        .route("/v1/router/overrides/{id}", delete(by_hand::clear))
        .route("/v1/router/audit", get(by_hand::audit))
        .with_state(handle)
}
