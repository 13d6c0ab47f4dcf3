//! Whether what somebody wants to set makes sense. Pure.

use std::time::Duration;

use control::wire::router::{Fault, Maintenance, Setting, Subject};
use stdx::ids::Scope;

use crate::peers::TrustedPeers;

/// Overrides that stand at once.
pub(super) const OVERRIDES_MAX: usize = 1_000;
/// Bytes of a reason.
const WHY_BYTES_MAX: usize = 1_000;
/// The longest time that may be given; longer is for ever.
const LASTS_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The longest delay of a fault.
const DELAY_MS_MAX: u64 = 3_600_000;
/// Bytes of what a route says while it is being worked on.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Networks that are let in meanwhile.
const ALLOW_MAX: usize = 64;
/// The highest degrade level.
const LEVEL_MAX: u8 = 3;

/// Why something cannot be set or taken back.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// No route has this name.
    #[error("there is no route `{route}`")]
    NoSuchRoute {
        /// The name given.
        route: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No route belongs to this application.
    #[error("no route belongs to {0}")]
    NoSuchApp(Scope),
    /// There is no such override.
    #[error("there is nothing set by hand with number {0}")]
    NoSuchOverride(u64),
    /// Nothing that can be set.
    #[error("{0}")]
    Malformed(&'static str),
    /// As many stand as may.
    #[error("{OVERRIDES_MAX} overrides stand already")]
    TooMany,
    /// Another process is about to take the place of this one, and has read the overrides.
    #[error("an upgrade is under way")]
    Sealed,
    /// It could not be written down, so that it was not done.
    #[error("cannot write the overrides: {0}")]
    NotSaved(std::io::Error),
}

/// What the router routes at this moment.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) routes: Vec<String>,
    pub(super) scopes: Vec<Scope>,
}

/// Looks at all of it.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(
    setting: &Setting,
    lasts: Option<Duration>,
    why: Option<&str>,
    known: &Known,
) -> Result<(), OverrideError> {
    if lasts.is_some_and(|lasts| lasts.is_zero() || lasts > LASTS_MAX) {
        return Err(OverrideError::Malformed("it can last from a millisecond to a year"));
    }
    if why.is_some_and(|why| why.len() > WHY_BYTES_MAX) {
        return Err(OverrideError::Malformed("the reason is longer than 1000 bytes"));
    }
    match setting {
        Setting::Breaker { route, .. } => {
            if why.is_none_or(|why| why.trim().is_empty()) {
                return Err(OverrideError::Malformed("a breaker is set by hand for a reason"));
            }
            is_route(route, known)
        }
        Setting::Degrade { app, environment, level } => {
            if *level > LEVEL_MAX {
                return Err(OverrideError::Malformed("a degrade level is from 0 to 3"));
            }
            is_app(&Scope { app: app.clone(), env: environment.clone() }, known)
        }
        Setting::Fault { route, fault } => {
            is_fault(fault)?;
            if lasts.is_none() {
                return Err(OverrideError::Malformed("a fault lasts a limited time"));
            }
            is_route(route, known)
        }
        Setting::Maintenance { of, maintenance } => {
            is_maintenance(maintenance)?;
            match of {
                Subject::Route(route) => is_route(route, known),
                Subject::App(scope) => is_app(scope, known),
            }
        }
    }
}

fn is_route(route: &str, known: &Known) -> Result<(), OverrideError> {
    if known.routes.iter().any(|one| one == route) {
        return Ok(());
    }
    Err(OverrideError::NoSuchRoute { route: route.into(), known: known.routes.clone() })
}

fn is_app(scope: &Scope, known: &Known) -> Result<(), OverrideError> {
    if known.scopes.contains(scope) { Ok(()) } else { Err(OverrideError::NoSuchApp(scope.clone())) }
}

fn is_maintenance(set: &Maintenance) -> Result<(), OverrideError> {
    let wrong = if set.message.as_ref().is_some_and(|message| message.len() > MESSAGE_BYTES_MAX) {
        "a message has up to 4096 bytes"
    } else if set.allow.len() > ALLOW_MAX || TrustedPeers::parse(&set.allow).is_err() {
        "those let in are up to 64 addresses or networks: 10.0.0.1, 10.0.0.0/8, fd00::/8"
    } else {
        return Ok(());
    };
    Err(OverrideError::Malformed(wrong))
}

fn is_fault(fault: &Fault) -> Result<(), OverrideError> {
    let wrong = if !(fault.share_percent > 0.0 && fault.share_percent <= 100.0) {
        "a share is above 0 and up to 100 percent"
    } else if fault.delay_ms > DELAY_MS_MAX {
        "a delay is up to an hour"
    } else if fault.error.is_some_and(|status| !(400..=599).contains(&status)) {
        "an error is a status from 400 to 599"
    } else if fault.error.is_some() && fault.reset {
        "a try is answered with an error or reset, not both"
    } else if fault.delay_ms == 0 && fault.error.is_none() && !fault.reset {
        "a fault delays, answers with an error, or resets"
    } else {
        return Ok(());
    };
    Err(OverrideError::Malformed(wrong))
}
