//! A tube delivered as HTTP: each job a POST, whose answer decides what becomes of it.
//!
//! A runner per tube takes jobs as any worker does ([`crate::door`]), so nothing that happens to a target or to a runner can lose
//! one: a job that is not settled is ready again when its time runs out.

mod pace;
mod run;
mod target;

use control::wire::PushRow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use run::Runner;

/// Where a tube is delivered to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// Where jobs are posted to: `http://HOST:PORT/PATH`. Either this or `process`.
    #[serde(default)]
    pub url: Option<String>,
    /// A process of the application that a route leads to: jobs are posted to `path` behind that route, through the router.
    #[serde(default)]
    pub process: Option<String>,
    /// The path at that process, behind the route's prefix.
    #[serde(default = "root")]
    pub path: String,
    /// Posts under way at once.
    #[serde(default = "concurrency_max")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency_max: u16,
    /// How long an answer may take; the job's reservation is renewed meanwhile.
    #[serde(default = "timeout_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub timeout_ms: u32,
}

fn root() -> String {
    "/".into()
}

fn concurrency_max() -> u16 {
    4
}

fn timeout_ms() -> u32 {
    30_000
}

/// A target with its address resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushSpec {
    /// `http://HOST:PORT/PATH`.
    pub url: String,
    /// The Host field where it is not that of the URL.
    pub host: Option<String>,
    /// Posts under way at once.
    pub concurrency_max: u16,
    /// How long an answer may take.
    pub timeout_ms: u32,
}

/// Why a tube cannot be pushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Not a URL that a request can be sent to.
    #[error("`{0}` is no URL: write http://HOST:PORT/PATH")]
    Url(String),
    /// There is no TLS yet.
    #[error("`{0}` is not an http:// URL, and there is no TLS yet")]
    Scheme(String),
    /// Neither or both.
    #[error("a push goes either to a `url` or to a `process`")]
    Aim,
}

impl PushConfig {
    /// Whether it can be. A process is looked up by whoever knows the routes.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn check(&self) -> Result<(), PushError> {
        match (&self.url, &self.process) {
            (Some(url), None) => target::Target::new(&self.to(url.clone(), None)).map(drop),
            (None, Some(_)) => Ok(()),
            _ => Err(PushError::Aim),
        }
    }

    /// The target with this address.
    pub fn to(&self, url: String, host: Option<String>) -> PushSpec {
        PushSpec { url, host, concurrency_max: self.concurrency_max, timeout_ms: self.timeout_ms }
    }
}

/// What runners tell of themselves, per tube; listings show it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) under_way: u16,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) slowed: u64,
    pub(crate) unreached: u64,
    pub(crate) state: String,
}

impl Told {
    pub(crate) fn row(&self, url: &str) -> PushRow {
        PushRow {
            url: url.into(),
            state: self.state.clone(),
            under_way: self.under_way.into(),
            delivered: self.delivered,
            failed: self.failed,
            slowed: self.slowed,
            unreached: self.unreached,
        }
    }
}
