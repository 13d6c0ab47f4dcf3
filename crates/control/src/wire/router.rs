//! Rows about the router's control by hand. The router keeps these very rows in its data folder.

use std::fmt;

use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, EnvName, Scope};

/// What an operator sets by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "set", rename_all = "snake_case")]
pub enum Setting {
    /// The breaker of a route stands as it is told to.
    Breaker {
        /// The route's name, as `forebay routes` lists it.
        route: String,
        /// How it stands.
        state: BreakerByHand,
    },
    /// The degrade level of an application stands as it is told to.
    Degrade {
        /// The application.
        app: AppName,
        /// Its environment.
        environment: EnvName,
        /// From 0, all is well, to 3.
        level: u8,
    },
    /// Tries of a route's requests meet a fault.
    Fault {
        /// The route's name.
        route: String,
        /// What happens to them.
        #[serde(flatten)]
        fault: Fault,
    },
    /// Routes answer 503 by themselves while their application is being worked on.
    Maintenance {
        /// Which routes.
        of: Subject,
        /// What they answer, and to whom.
        #[serde(flatten)]
        maintenance: Maintenance,
    },
}

/// Which routes something is set for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One, by its name as `forebay routes` lists it.
    Route(String),
    /// All of an application.
    App(Scope),
}

impl Subject {
    /// Whether a route of this name is one of them. The names of an application's routes begin with its own.
    pub fn covers(&self, route: &str) -> bool {
        match self {
            Subject::Route(name) => name == route,
            Subject::App(scope) => route.strip_prefix(&scope.to_string()).is_some_and(|rest| rest.starts_with('/')),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Route(name) => f.write_str(name),
            Subject::App(scope) => write!(f, "{scope}"),
        }
    }
}

/// What routes answer while their application is being worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Text in place of the route's own fallback page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after_s: u32,
    /// Addresses or networks of clients that are let in all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

/// A breaker that decides nothing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerByHand {
    /// Open: requests are answered without an endpoint.
    Tripped,
    /// Closed: requests pass, whatever becomes of them.
    Closed,
}

impl BreakerByHand {
    /// The word of the wire form.
    pub fn word(self) -> &'static str {
        match self {
            BreakerByHand::Tripped => "tripped",
            BreakerByHand::Closed => "closed",
        }
    }
}

/// What happens on demand to a share of the tries, in the endpoint's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Only tries at this endpoint: its address, or the name of its instance. Absent: at any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Percent of the tries, above 0 and up to 100.
    pub share_percent: f64,
    /// Milliseconds before the endpoint is asked, or before the fault below.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    /// The status with which the try is answered; the endpoint is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<u16>,
    /// The connection ends without a reply; the endpoint is not asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for Setting {
    /// `breaker of shop/production/ tripped`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Breaker { route, state } => write!(f, "breaker of {route} {}", state.word()),
            Setting::Degrade { app, environment, level } => write!(f, "degrade level of {app}/{environment} {level}"),
            Setting::Fault { route, fault } => write!(f, "fault on {route}: {fault}"),
            Setting::Maintenance { of, maintenance } if maintenance.allow.is_empty() => {
                write!(f, "maintenance of {of}")
            }
            Setting::Maintenance { of, maintenance } => {
                write!(f, "maintenance of {of}, but for {}", maintenance.allow.join(", "))
            }
        }
    }
}

impl fmt::Display for Fault {
    /// `delay 200 ms and error 503 for 30% of tries at web.1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delay = (self.delay_ms > 0).then(|| format!("delay {} ms", self.delay_ms));
        let error = self.error.map(|status| format!("error {status}"));
        let reset = self.reset.then(|| "reset".to_string());
        let effects: Vec<String> = [delay, error, reset].into_iter().flatten().collect();
        write!(f, "{} for {}% of tries", effects.join(" and "), self.share_percent)?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
    }
}

/// One row of `forebay breaker ls` and `forebay fault ls`: something that stands as a person has set it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverrideRow {
    /// Its number, never used again.
    pub id: u64,
    /// What is set.
    #[serde(flatten)]
    pub setting: Setting,
    /// Since when, nanoseconds since the epoch.
    pub since_ns: u64,
    /// Until when; absent: until it is set otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
    /// Who set it.
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One row of `forebay breaker log`: who set what, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When, nanoseconds since the epoch.
    pub time_ns: u64,
    /// What became of the override.
    pub action: AuditAction,
    /// The override's number.
    pub id: u64,
    /// What was set.
    #[serde(flatten)]
    pub setting: Setting,
    /// Until when it was to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
    /// Who did it; `expiry` when its time was up.
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of an override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// It was set.
    Set,
    /// Another was set in its place.
    Replaced,
    /// It was taken back.
    Cleared,
    /// Its time was up.
    Expired,
}

impl AuditAction {
    /// The word of the wire form.
    pub fn word(self) -> &'static str {
        match self {
            AuditAction::Set => "set",
            AuditAction::Replaced => "replaced",
            AuditAction::Cleared => "cleared",
            AuditAction::Expired => "expired",
        }
    }
}

/// `POST /v1/router/purge`: what is to go from the caches of all routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRequest {
    /// Addresses, `https://shop.example/a?b`, or targets at any host, `/a?b`; a `*` at the end stands for whatever follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Names that answers carry in `Surrogate-Key` or `Cache-Tag`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What is meant becomes stale and stays, for when the application fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
}

/// What was purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Answers that were kept.
    pub answers: u64,
    /// Fetches under way whose answer will not be kept.
    pub under_way: u64,
}

/// `POST /v1/router/overrides`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverrideRequest {
    /// What to set.
    #[serde(flatten)]
    pub setting: Setting,
    /// For how many milliseconds; absent: until it is set otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
