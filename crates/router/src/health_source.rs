//! What is known about endpoints beyond the routing, for those who ask how an application is. Whoever checks fills it;
//! nothing here reaches an application.

use std::fmt;
use std::time::Duration;

use health::{Health, Verdict};
use stdx::ids::Scope;

use crate::routing::{EndpointSpec, UpstreamName};

/// Where the router learns what checks have found.
pub trait HealthSource: fmt::Debug + Send + Sync {
    /// The last verdict about an endpoint; `None` for one that nobody checks.
    fn verdict(&self, upstream: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict>;

    /// What an application depends on.
    fn dependencies(&self, scope: &Scope) -> Vec<Dependency>;
}

/// Something outside that an application cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its name in the manifest.
    pub name: String,
    /// What its checks say.
    pub health: Health,
    /// What is wrong with it.
    pub reason: Option<String>,
    /// How old the last result is.
    pub age: Duration,
    /// Nobody has checked it for three intervals.
    pub unchecked: bool,
}

/// Nobody checks anything: what the router sees itself is all that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHealth;

impl HealthSource for NoHealth {
    fn verdict(&self, _: &UpstreamName, _: &EndpointSpec) -> Option<Verdict> {
        None
    }

    fn dependencies(&self, _: &Scope) -> Vec<Dependency> {
        Vec::new()
    }
}
