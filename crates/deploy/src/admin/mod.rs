//! The deploy plane's part of the admin API.
//!
//! ```text
//! POST   /v1/deploys?app=shop                 body: tar of the source         -> NDJSON of Progress
//! POST   /v1/apps/{app}/rollback?to=2                                         -> NDJSON of Progress
//! POST   /v1/apps/{app}/scale                 {"web": 3}                      -> NDJSON of Progress
//! GET    /v1/instances                                                        -> Listing<InstanceRow>
//! GET    /v1/dependencies                                                     -> Listing<DependencyRow>
//! GET    /v1/releases?app=shop                                                -> Listing<ReleaseRow>
//! GET    /v1/apps/{app}/digest                                                -> ServingRow
//! GET    /v1/apps/{app}/secrets                                               -> Listing<SecretRow>
//! PUT    /v1/apps/{app}/secrets/{key}         body: the value                 -> SecretRow
//! DELETE /v1/apps/{app}/secrets/{key}                                         -> SecretRow
//! ```
//! `?env=` everywhere, `production` when it is absent; `?wait=true` makes a change wait for the one under way. A change
//! that is refused before its first phase is answered with its error's status, one that fails later ends its stream
//! with `failed`.

mod change;
mod listings;
mod secrets;
mod upload;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post, put};
use control::auth::Caller;
use control::error::{ApiError, Kind};
use serde::Deserialize;
use stdx::ids::{AppName, EnvName, ReleaseNo, Scope};

use crate::node::Handle;

/// The routes of the deploy plane.
pub fn routes(handle: Handle) -> Router {
    Router::new()
        .route("/v1/deploys", post(change::deploy))
        .route("/v1/apps/{app}/rollback", post(change::rollback))
        .route("/v1/apps/{app}/scale", post(change::scale))
        .route("/v1/apps/{app}/digest", get(listings::digest))
        .route("/v1/apps/{app}/secrets", get(secrets::list))
        .route("/v1/apps/{app}/secrets/{key}", put(secrets::put).delete(secrets::remove))
        .route("/v1/instances", get(listings::instances))
        .route("/v1/dependencies", get(listings::dependencies))
        .route("/v1/releases", get(listings::releases))
        .with_state(handle)
}

/// What stands behind the `?`.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    app: Option<String>,
    env: Option<String>,
    to: Option<String>,
    #[serde(default)]
    wait: bool,
}

impl Asked {
    fn env(&self) -> Result<EnvName, ApiError> {
        self.env.as_deref().map_or_else(|| Ok(EnvName::production()), |env| EnvName::new(env).map_err(bad_name))
    }

    fn scope(&self, app: &str) -> Result<Scope, ApiError> {
        Ok(Scope { app: AppName::new(app).map_err(bad_name)?, env: self.env()? })
    }

    /// The applications that a listing is about: one, or those of an environment, or all.
    fn names(&self, scope: &Scope) -> bool {
        self.app.as_deref().is_none_or(|app| app == scope.app.as_str())
            && self.env.as_deref().is_none_or(|env| env == scope.env.as_str())
    }

    fn release(&self) -> Result<Option<ReleaseNo>, ApiError> {
        let Some(text) = &self.to else { return Ok(None) };
        let number = text.strip_prefix('v').unwrap_or(text).parse().map(ReleaseNo);
        number.map(Some).map_err(|_| usage("release_malformed", format!("`{text}` is no release: write v2")))
    }
}

type Who = Option<Extension<Caller>>;

fn name(who: Who) -> String {
    who.map_or_else(|| "unknown".into(), |Extension(caller)| caller.to_string())
}

async fn small(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, bytes_max)
        .await
        .map_err(|e| usage("body_unusable", format!("the body is longer than {bytes_max} bytes or broke off: {e}")))
}

fn bad_name(error: stdx::ids::NameError) -> ApiError {
    usage("name_malformed", error.to_string())
}

fn usage(code: &str, message: String) -> ApiError {
    ApiError::new(Kind::Usage, code, message)
}
