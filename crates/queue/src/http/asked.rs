//! What a request says of itself: whose tubes it is about, and what stands behind the `?`.

use std::net::SocketAddr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use control::auth::Caller;
use control::error::{ApiError, Kind};
use serde::Deserialize;
use stdx::ids::{AppName, EnvName, Scope};

use super::{Api, Scoping};
use crate::door::{self, StateName};
use crate::engine::AttemptEnd;
use crate::names::{JobId, Namespace, TubeName};

/// Everything that may stand behind a `?`. A key that an endpoint has no use for is no error, an unknown one is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    pub(super) app: Option<AppName>,
    pub(super) env: Option<EnvName>,
    pub(super) pri: Option<u32>,
    pub(super) delay_s: Option<u32>,
    pub(super) ttr_s: Option<u32>,
    pub(super) lease: Option<u32>,
    pub(super) state: Option<String>,
    pub(super) n: Option<usize>,
    pub(super) jobs: Option<u32>,
    pub(super) for_s: Option<u32>,
    pub(super) reason: Option<String>,
    pub(super) key: Option<String>,
    pub(super) window_s: Option<u32>,
    pub(super) unique: Option<String>,
    pub(super) order: Option<String>,
    pub(super) attempts_max: Option<u32>,
    pub(super) retry_delay_ms: Option<u64>,
    pub(super) id: Option<u64>,
    pub(super) tube: Option<String>,
    pub(super) from: Option<String>,
    pub(super) end: Option<AttemptEnd>,
    pub(super) since_ms: Option<u64>,
    pub(super) before_ms: Option<u64>,
    pub(super) into: Option<String>,
    pub(super) preview: Option<bool>,
    pub(super) why: Option<String>,
}

/// A request's namespace and parameters.
pub(super) struct Asked {
    pub(super) namespace: Namespace,
    pub(super) params: Params,
    /// Who asks, as it is written down.
    pub(super) who: String,
    /// The other end of its connection, where that is known.
    peer: Option<SocketAddr>,
}

/// The other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Asked {
    /// What the caller is called where attempts at a job are told, unless it names itself.
    pub(super) fn worker(&self) -> String {
        self.peer.map_or_else(|| self.who.clone(), |peer| format!("http {peer}"))
    }
}

impl FromRequestParts<Api> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Asked, ApiError> {
        let params = Query::<Params>::from_request_parts(parts, api).await;
        let Query(params) = params.map_err(|rejection| malformed(rejection.body_text()))?;
        let (namespace, who) = match api.scoping {
            Scoping::ByQuery => {
                let caller = parts.extensions.get::<Caller>();
                (params.namespace(), caller.map_or_else(|| "operator".into(), ToString::to_string))
            }
            Scoping::ByToken if params.app.is_some() || params.env.is_some() => {
                return Err(malformed("whose tubes are meant is said by the token, not by `app` and `env`"));
            }
            Scoping::ByToken => {
                let namespace = parts.extensions.get::<Namespace>().cloned().ok_or_else(door::unavailable)?;
                let who = namespace.to_string();
                (namespace, who)
            }
        };
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        Ok(Asked { namespace, params, who, peer })
    }
}

impl Params {
    fn namespace(&self) -> Namespace {
        let env = self.env.clone().unwrap_or_else(EnvName::production);
        Namespace(self.app.clone().map(|app| Scope { app, env }))
    }

    /// The state that is named, `None` when none is.
    pub(super) fn state(&self) -> Result<Option<StateName>, ApiError> {
        let Some(word) = &self.state else { return Ok(None) };
        let state = StateName::from_word(word);
        state.map(Some).ok_or_else(|| malformed(format!("`{word}` is no state: ready, delayed, reserved, buried")))
    }
}

/// A tube's name from a path or a body.
pub(super) fn tube(name: &str) -> Result<TubeName, ApiError> {
    TubeName::new(name.as_bytes()).ok_or_else(|| {
        ApiError::new(Kind::Usage, "tube_name_malformed", format!("`{name}` is no name of a tube"))
            .hint("1 to 200 of A-Z a-z 0-9 - + / ; . $ _ ( ), not beginning with a hyphen")
    })
}

/// A job's number from a path.
pub(super) fn id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map(JobId).map_err(|_| malformed(format!("`{text}` is no number of a job")))
}

pub(super) fn malformed(what: impl Into<String>) -> ApiError {
    ApiError::new(Kind::Usage, "request_malformed", what.into())
}
