//! What deploy says when it cannot: the one table from its failures to the API's.

use control::error::{ApiError, Kind};
use state::StateError;
use stdx::ids::{ReleaseNo, Scope};

use crate::rollout::Failure;

/// The control store's error as the API's.
pub(crate) fn of_state(error: &StateError) -> ApiError {
    let kind = match error {
        StateError::Busy | StateError::Stopped => Kind::Unavailable,
        StateError::NotFound(_) => Kind::NotFound,
        StateError::Exhausted { .. } => Kind::Policy,
        _ => Kind::Failed,
    };
    let api = ApiError::new(kind, error.code(), error.to_string());
    match error.hint() {
        Some(hint) => api.hint(hint),
        None => api,
    }
}

/// A release that never got the traffic.
pub(crate) fn rejected(
    scope: &Scope,
    release: ReleaseNo,
    serving: Option<ReleaseNo>,
    failure: &Failure,
    last_words: Vec<String>,
) -> ApiError {
    let kept = match serving {
        Some(no) => format!("{no} serves on"),
        None => "nothing serves".to_string(),
    };
    let message = format!("release {release} of {scope} was rejected: {}; {kept}", failure.rule);
    let error = ApiError::new(Kind::Rejected, failure.code, message).details(last_words);
    match hint(failure.code) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "release_unhealthy" => "the instance must listen on 127.0.0.1:$PORT and answer its health path with 200 to 399",
        "release_crashed" => "the lines above are its last; a process must keep running, in the foreground",
        "command_not_found" => "the command is looked up in PATH and run in the release's folder; check `command`",
        "command_not_executable" => "set the file's execute bit, or name its interpreter",
        "secrets_key_missing" | "secrets_key_wrong" => "put the key file back from its backup",
        "ports_exhausted" => "raise deploy.port_range",
        _ => return None,
    })
}

/// Whether the disk, or somebody's share of it, is full.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Another change is under way.
pub(crate) fn busy(scope: &Scope, what: &str) -> ApiError {
    ApiError::new(Kind::Conflict, "deploy_in_progress", format!("a {what} of {scope} is under way"))
        .hint("wait for it, or add --wait")
}

/// The side of an application is not there any more.
pub(crate) fn side_failed(scope: &Scope) -> ApiError {
    ApiError::new(Kind::Unavailable, "deploy_failed", format!("the deploy plane does not answer for {scope}"))
        .hint("see DATA/node.log; instances run on, a restart of the node takes them up again")
}

/// The node stops.
pub(crate) fn stopping() -> ApiError {
    ApiError::new(Kind::Unavailable, "node_stopping", "the node is stopping")
}
