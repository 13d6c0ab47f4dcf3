//! What the router is doing.

use axum::Json;
use axum::extract::State;
use control::wire::Listing;
use control::wire::certificates::CertificateRow;
use control::wire::figures::{EndpointRow, RouteRow};

use crate::handle::Handle;

pub(super) async fn routes(State(handle): State<Handle>) -> Json<Listing<RouteRow>> {
    Json(Listing::new(handle.route_rows()))
}

pub(super) async fn upstreams(State(handle): State<Handle>) -> Json<Listing<EndpointRow>> {
    Json(Listing::new(handle.endpoint_rows()))
}

pub(super) async fn certificates(State(handle): State<Handle>) -> Json<Listing<CertificateRow>> {
    Json(Listing::new(handle.certificate_rows()))
}
