//! The one table from an error to its admin-API status and its exit code.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};

/// What kind of failure it is; decides the HTTP status and the CLI's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It did not work. 500, exit 1.
    Failed,
    /// The request is wrong: bad input, bad manifest. 400, exit 2.
    Usage,
    /// There is no such thing. 404, exit 3.
    NotFound,
    /// You may not. 403, exit 4.
    Denied,
    /// The new version was rejected; the one before serves on. 422, exit 5.
    Rejected,
    /// It took too long; the state is unknown. 504, exit 6.
    Timeout,
    /// Somebody else is at it, or the state does not allow it. 409, exit 7.
    Conflict,
    /// A policy or quota forbids it. 429, exit 8.
    Policy,
    /// The plane that would have to do it is not running. 503, exit 1.
    Unavailable,
    /// What was sent is larger than may be. 413, exit 2.
    TooLarge,
}

impl Kind {
    /// The HTTP status of the kind.
    pub fn status(self) -> StatusCode {
        match self {
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Policy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The CLI's exit code of the kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed | Kind::Unavailable => 1,
            Kind::Usage | Kind::TooLarge => 2,
            Kind::NotFound => 3,
            Kind::Denied => 4,
            Kind::Rejected => 5,
            Kind::Timeout => 6,
            Kind::Conflict => 7,
            Kind::Policy => 8,
        }
    }
}

/// An error as the API says it and the CLI prints it: what happened, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of failure.
    pub kind: Kind,
    /// A stable word for machines: `port_in_use`, `manifest_unknown_key`.
    pub code: String,
    /// What happened, in a sentence without a full stop.
    pub message: String,
    /// Where: `router.listen (forebay.toml:12)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Lines that belong to it: an instance's own last words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// After how many seconds it is worth another try; over HTTP it is the field `Retry-After`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    /// An error of a kind, with its stable code and its sentence.
    pub fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> ApiError {
        let (code, message) = (code.into(), message.into());
        ApiError { kind, code, message, at: None, hint: None, details: Vec::new(), retry_after_s: None }
    }

    /// Adds where it happened.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> ApiError {
        self.at = Some(place.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that belong to it.
    #[must_use]
    pub fn details(mut self, lines: Vec<String>) -> ApiError {
        self.details = lines;
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> ApiError {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after_s;
        let mut response = (self.kind.status(), Json(ErrorBody { error: self })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// How an error travels: `{"error": {...}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}
