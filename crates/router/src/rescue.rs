//! The one table from what went wrong to what the client is told. Causes are for operators, in the access record; the
//! client gets a status, a sentence that gives nothing away, and the trace to ask about.

use http::StatusCode;

use crate::access::Outcome;
use crate::body::ContentFault;
use crate::capacity::Shed;
use crate::gate::Refusal;
use crate::h1::front::HeadFault;

/// Why the router answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Head(#[from] HeadFault),
    #[error("refused at the gate: {0}")]
    Refused(#[from] Refusal),
    #[error("no route takes this host and path")]
    NoRoute,
    #[error("the router answers this path itself")]
    Reserved,
    #[error("the router answers this path itself, and only to GET and HEAD")]
    ReadOnly,
    #[error("the request came without TLS, which the route asks for")]
    Insecure,
    #[error("the route is not for this client")]
    NotForThem,
    #[error("no name and password of a user came with it")]
    NoPassword,
    #[error("the name or the password is wrong")]
    WrongPassword,
    #[error("too many passwords are being compared")]
    PasswordsBusy,
    #[error("its route is in maintenance, by hand")]
    Maintenance { retry_after_s: u32 },
    #[error("the route sends its clients elsewhere")]
    Elsewhere(StatusCode),
    #[error("{0}")]
    Content(#[from] ContentFault),
    #[error("the deadline passed")]
    Deadline,
    #[error("no endpoint was up within the time that requests are held")]
    NobodyUp,
    #[error("no endpoint is up, and as many requests are held as may be")]
    HeldFull,
    #[error("the route's breaker is open")]
    Broken { probe_in_s: u32 },
    #[error("the route was tripped by hand")]
    Tripped,
    #[error("it is not in the cache, and the request wants nothing else")]
    OnlyIfCached,
    #[error("the route answers without asking the application")]
    NotAsked,
    #[error("more requests of this client than its rate allows")]
    TooOften { retry_after_s: u32 },
    #[error("turned away: {why}")]
    Shed { why: Shed, retry_after_s: u32 },
    #[error("the last try: {0}")]
    NoReply(Outcome),
    #[error("{0}")]
    Key(#[from] KeyFault),
}

/// Why a request's `Idempotency-Key` gets it no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFault {
    #[error("the idempotency key is malformed")]
    Malformed,
    #[error("the idempotency key was used for another request")]
    Taken,
    #[error("the first request with this idempotency key is still under way")]
    UnderWay,
    #[error("the first answer for this idempotency key was too long to be recorded")]
    NotRecorded,
}

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rescue {
    pub(crate) status: StatusCode,
    pub(crate) sentence: &'static str,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after_s: Option<u32>,
}

/// The methods that a 405 lists.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Failure {
    /// The row of the table.
    pub(crate) fn rescue(self) -> Rescue {
        use StatusCode as S;
        let (status, sentence) = match self {
            Failure::Head(fault) => of_head(fault),
            Failure::Refused(Refusal::Method) => (S::METHOD_NOT_ALLOWED, "this method is not allowed here"),
            Failure::Refused(Refusal::TargetTooLong) => (S::URI_TOO_LONG, "the request target is too long"),
            Failure::Refused(Refusal::FieldsTooMany) => {
                (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many header fields")
            }
            Failure::Refused(Refusal::Expectation) => (S::EXPECTATION_FAILED, "this expectation cannot be met"),
            Failure::Refused(_) => (S::BAD_REQUEST, "the request is malformed or ambiguous"),
            Failure::ReadOnly => (S::METHOD_NOT_ALLOWED, "this method is not allowed here"),
            Failure::NoRoute | Failure::Reserved => (S::NOT_FOUND, "nothing is served here"),
            Failure::Insecure => (S::PERMANENT_REDIRECT, "this is served with TLS only"),
            Failure::NotForThem => (S::FORBIDDEN, "this is not for you"),
            Failure::NoPassword | Failure::WrongPassword => (S::UNAUTHORIZED, "this is for those who say who they are"),
            Failure::PasswordsBusy => (S::SERVICE_UNAVAILABLE, "there is too much to do right now"),
            Failure::Maintenance { .. } => (S::SERVICE_UNAVAILABLE, "this is being worked on and will be back"),
            Failure::Elsewhere(status) => (status, "this is served elsewhere"),
            Failure::Content(ContentFault::TooLarge) => (S::PAYLOAD_TOO_LARGE, "the request's content is too large"),
            Failure::Content(ContentFault::TooSlow) => (S::REQUEST_TIMEOUT, "the request's content came too slowly"),
            Failure::Content(ContentFault::Broken | ContentFault::Unkept) => {
                (S::BAD_REQUEST, "the request's content broke off")
            }
            Failure::OnlyIfCached => (S::GATEWAY_TIMEOUT, "this is not kept here, and nothing else was asked for"),
            Failure::Deadline | Failure::NoReply(Outcome::TimedOut) => {
                (S::GATEWAY_TIMEOUT, "the application did not answer in time")
            }
            Failure::NobodyUp | Failure::HeldFull | Failure::Broken { .. } | Failure::Tripped | Failure::NotAsked => {
                (S::SERVICE_UNAVAILABLE, "the application is not up right now")
            }
            Failure::TooOften { .. } => (S::TOO_MANY_REQUESTS, "too many requests from this client"),
            Failure::Shed { .. } => (S::SERVICE_UNAVAILABLE, "there is too much to do right now"),
            Failure::NoReply(Outcome::Answered(status)) => {
                (S::from_u16(status).unwrap_or(S::BAD_GATEWAY), "a fault was set here by hand")
            }
            Failure::Key(fault) => of_key(fault),
            Failure::NoReply(_) => (S::BAD_GATEWAY, "the application gave no valid answer"),
        };
        let retry_after_s = match self {
            Failure::Broken { probe_in_s } => Some(probe_in_s.max(1)),
            Failure::Shed { retry_after_s, .. }
            | Failure::TooOften { retry_after_s }
            | Failure::Maintenance { retry_after_s } => Some(retry_after_s.max(1)),
            _ => (status == S::SERVICE_UNAVAILABLE).then_some(1),
        };
        Rescue { status, sentence, retry_after_s }
    }

    /// Whether the connection may carry no further request: its framing is in doubt.
    pub(crate) fn closes(self) -> bool {
        matches!(self, Failure::Head(_) | Failure::Refused(_) | Failure::Content(_))
    }
}

/// The rows of heads that cannot be read.
fn of_head(fault: HeadFault) -> (StatusCode, &'static str) {
    match fault {
        HeadFault::Malformed | HeadFault::Target => (StatusCode::BAD_REQUEST, "the request is malformed or ambiguous"),
        HeadFault::TargetTooLong => (StatusCode::URI_TOO_LONG, "the request target is too long"),
        HeadFault::TooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large"),
        HeadFault::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this version of HTTP is not spoken here"),
        HeadFault::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request's head came too slowly"),
    }
}

/// The rows of idempotency keys.
fn of_key(fault: KeyFault) -> (StatusCode, &'static str) {
    match fault {
        KeyFault::Malformed => (StatusCode::BAD_REQUEST, "the idempotency key is malformed"),
        KeyFault::Taken => (StatusCode::UNPROCESSABLE_ENTITY, "this idempotency key was used for another request"),
        KeyFault::UnderWay => (StatusCode::CONFLICT, "a request with this idempotency key is under way"),
        KeyFault::NotRecorded => {
            (StatusCode::CONFLICT, "this request was answered; its answer was too long to be kept")
        }
    }
}
