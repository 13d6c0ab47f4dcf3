//! The admin API of a node: the planes' own routes, put together.

use axum::routing::get;
use axum::{Json, Router};
use control::plane::PlaneStatus;
use control::wire::{AlertRow, DependencyRow, InstanceRow, Listing, PlaneRow};

use super::{Planes, metrics};

/// All routes.
pub(super) fn routes(planes: &Planes) -> Router {
    let statuses = [planes.router.status(), planes.queue.status(), planes.logs.status(), planes.deploy.status()];
    Router::new()
        .route("/v1/planes", get(move || list_planes(statuses.clone())))
        .merge(metrics::of_node(planes))
        .merge(router::admin::routes(planes.router.clone()))
        .merge(logs::admin::routes(planes.logs.clone()))
        .merge(queue::admin::routes(planes.queue.clone()))
        .merge(deploy::admin::routes(planes.deploy.clone()))
}

/// The queue's routes, when it runs alone.
pub(super) fn queue_alone(queue: &queue::Handle) -> Router {
    let status = queue.status();
    Router::new()
        .route("/v1/planes", get(move || list_planes([status.clone()])))
        .merge(no_applications())
        .merge(queue::admin::routes(queue.clone()))
        .merge(metrics::of_queue(queue))
}

/// The routes of a router that runs alone.
pub(super) fn of_router(router: &router::Handle) -> Router {
    let status = router.status();
    Router::new()
        .route("/v1/planes", get(move || list_planes([status.clone()])))
        .merge(no_applications())
        .route("/v1/queue/alerts", get(|| async { Json(Listing::<AlertRow>::new(Vec::new())) }))
        .merge(metrics::of_router(router))
        .merge(router::admin::routes(router.clone()))
}

/// What a plane that runs alone answers about applications: `forebay ps` asks any of them.
fn no_applications() -> Router {
    Router::new()
        .route("/v1/instances", get(|| async { Json(Listing::<InstanceRow>::new(Vec::new())) }))
        .route("/v1/dependencies", get(|| async { Json(Listing::<DependencyRow>::new(Vec::new())) }))
}

async fn list_planes<const N: usize>(statuses: [PlaneStatus; N]) -> Json<Listing<PlaneRow>> {
    Json(Listing::new(statuses.iter().map(PlaneStatus::row).collect()))
}
