//! The router's part of the admin API.
//!
//! ```text
//! GET    /v1/router/overrides                                           -> Listing<OverrideRow>
//! POST   /v1/router/overrides           OverrideRequest                 -> OverrideRow
//! DELETE /v1/router/overrides/{id}?why=                                 -> OverrideRow
//! GET    /v1/router/audit                                               -> Listing<AuditRow>
//! GET    /v1/router/routes                                              -> Listing<RouteRow>
//! GET    /v1/router/upstreams                                           -> Listing<EndpointRow>
//! GET    /v1/router/certificates                                        -> Listing<CertificateRow>
//! POST   /v1/router/purge               PurgeRequest                    -> PurgeReport
//! ```

mod by_hand;
mod live;
mod purge;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::handle::Handle;

/// The routes of the router plane.
pub fn routes(handle: Handle) -> Router {
    Router::new()
        .route("/v1/router/overrides", get(by_hand::list).post(by_hand::set))
        .route("/v1/router/overrides/{id}", delete(by_hand::clear))
        .route("/v1/router/routes", get(live::routes))
        .route("/v1/router/upstreams", get(live::upstreams))
        .route("/v1/router/certificates", get(live::certificates))
        .route("/v1/router/audit", get(by_hand::audit))
        .route("/v1/router/purge", post(purge::purge))
        .with_state(handle)
}
