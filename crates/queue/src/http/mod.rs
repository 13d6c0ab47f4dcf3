//! The HTTP API: what clients without a beanstalkd library speak, and operators.
//!
//! ```text
//! GET    /v1/queue/status                                           -> QueueStatus (operators)
//! POST   /v1/queue/snapshot                     {"to": "/path"}      -> Copied (operators)
//! GET    /v1/queue/crons                                            -> Listing<CronRow>
//! GET    /v1/queue/tubes                                            -> Listing<QueueRow>
//! GET    /v1/queue/tubes/{tube}                                     -> QueueRow
//! POST   /v1/queue/tubes/{tube}/jobs?pri=&delay_s=&ttr_s=  the body -> {"schema":1,"id":17}
//! POST   /v1/queue/tubes/{tube}/batch                      JSON     -> Listing<Put>
//! GET    /v1/queue/tubes/{tube}/jobs?state=&n=                      -> Listing<JobRow>
//! GET    /v1/queue/tubes/{tube}/peek?state=                         -> Listing<JobRow>, with body
//! POST   /v1/queue/tubes/{tube}/kick?jobs=                          -> {"schema":1,"jobs":3}
//! POST   /v1/queue/tubes/{tube}/pause?for_s=&why=
//! POST   /v1/queue/tubes/{tube}/resume
//! GET    /v1/queue/alerts                                           -> Listing<AlertRow>
//! GET    /v1/queue/dead?id=&tube=&from=&end=&reason=&since_ms=&before_ms=&n=  -> Listing<DeadJob>
//! POST   /v1/queue/dead/replay?preview=&into=&n= and these          -> {"schema":1,"jobs":[..],...}
//! POST   /v1/queue/reserve                                 JSON     -> Listing<JobRow>, with body and lease
//! GET    /v1/queue/jobs/{id}                                        -> JobRow, with body
//! DELETE /v1/queue/jobs/{id}
//! POST   /v1/queue/jobs/{id}/finish|fail|release|bury|touch?lease=&pri=&delay_s=&reason=
//! POST   /v1/queue/jobs/{id}/kick
//! ```
//! A caller with a token has its application's tubes; an operator names them with `?app=&env=`, or means the shared ones.

mod asked;
mod dead;
mod jobs;
mod put;
pub(crate) mod serve;
mod tubes;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::handle::Handle;

/// Who says whose tubes a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scoping {
    /// The caller: an operator may do anything.
    ByQuery,
    /// Its token: it has the tubes of one namespace.
    ByToken,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) scoping: Scoping,
    /// Bytes of bodies that may be on their way in at once; `None`: whoever stands at the door is trusted.
    pub(crate) bodies: Option<Arc<Semaphore>>,
}

/// The routes, all below `/v1/queue`.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/v1/queue/status", get(tubes::status))
        .route("/v1/queue/snapshot", post(tubes::snapshot))
        .route("/v1/queue/crons", get(tubes::crons))
        .route("/v1/queue/tubes", get(tubes::list))
        .route("/v1/queue/tubes/{tube}", get(tubes::show))
        .route("/v1/queue/tubes/{tube}/jobs", get(jobs::list).post(put::one))
        .route("/v1/queue/tubes/{tube}/batch", post(put::batch))
        .route("/v1/queue/tubes/{tube}/peek", get(jobs::peek_first))
        .route("/v1/queue/tubes/{tube}/kick", post(tubes::kick))
        .route("/v1/queue/tubes/{tube}/pause", post(tubes::pause))
        .route("/v1/queue/tubes/{tube}/resume", post(tubes::resume))
        .route("/v1/queue/alerts", get(tubes::alerts))
        .route("/v1/queue/dead", get(dead::list))
        .route("/v1/queue/dead/replay", post(dead::replay))
        .route("/v1/queue/reserve", post(work::reserve))
        .route("/v1/queue/jobs/{id}", get(jobs::peek).delete(jobs::delete))
        .route("/v1/queue/jobs/{id}/kick", post(jobs::kick))
        .route("/v1/queue/jobs/{id}/{verb}", post(work::settle))
        .with_state(api)
}
