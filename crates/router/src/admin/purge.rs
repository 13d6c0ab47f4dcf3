//! What is purged from the caches.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use control::error::{ApiError, Kind};
use control::wire::router::{PurgeReport, PurgeRequest};

use crate::cache::PurgeError;
use crate::handle::Handle;

pub(super) async fn purge(State(handle): State<Handle>, body: Bytes) -> Result<Json<PurgeReport>, ApiError> {
    let request: PurgeRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(Kind::Usage, "purge_malformed", error.to_string()))?;
    let report = handle.purge(&request).map_err(|error| told(&error))?;
    handle.purge_settled().await.map_err(|error| told(&error))?;
    Ok(Json(report))
}

fn told(error: &PurgeError) -> ApiError {
    let (code, hint) = match error {
        PurgeError::NotSettled => {
            return ApiError::new(Kind::Timeout, "purge_not_settled", error.to_string())
                .hint("nobody is answered with it; purge again, or look at the disk of the data folder");
        }
        PurgeError::Nothing => ("purge_malformed", "name addresses or surrogate keys, or say that all is meant"),
        PurgeError::TooMany(_) => ("purge_too_many", "purge in several steps, or by one surrogate key"),
        PurgeError::Malformed(_) => ("purge_malformed", "such as https://shop.example/a?b, /a or /assets/*"),
    };
    ApiError::new(Kind::Usage, code, error.to_string()).hint(hint)
}
