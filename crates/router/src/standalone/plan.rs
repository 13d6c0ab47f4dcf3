//! What a router alone is told: its routes, and where each upstream's endpoints come from.

use std::net::SocketAddr;

use health::{Approach, Question, Settings};
use net::dns::Name;
use net::reach::Reach;

use crate::config::{CheckConfig, Protocol, UpstreamPolicy};
use crate::routing::{RouteSpec, UpstreamName};

/// All that `router.toml` says about routes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The routes; of two that take the same host and prefix the first counts.
    pub routes: Vec<RouteSpec>,
    /// The upstreams that routes name.
    pub upstreams: Vec<UpstreamPlan>,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamPlan {
    /// Its name.
    pub name: UpstreamName,
    /// Where its endpoints come from.
    pub origin: Origin,
    /// How they are checked; `None`: what requests see is all that is known.
    pub check: Option<Check>,
    /// What holds for all of them.
    pub policy: UpstreamPolicy,
    /// What is said to them before the first request of a connection, and before a check.
    pub reach: Reach,
}

impl UpstreamPlan {
    /// How its endpoints are come to for a check.
    pub(super) fn approach(&self) -> Approach {
        Approach { reach: self.reach.clone(), http2: self.policy.protocol == Protocol::H2c }
    }
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// These.
    Fixed(Vec<SocketAddr>),
    /// All addresses of a host, at this port.
    Host(Name, u16),
    /// What SRV records say: hosts with their ports, priorities and weights.
    Service(Name),
}

/// How endpoints are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check(CheckConfig);

impl Check {
    /// By these settings.
    pub fn new(config: CheckConfig) -> Check {
        Check(config)
    }

    pub(super) fn settings(&self) -> Settings {
        self.0.settings()
    }

    pub(super) fn question(&self, addr: SocketAddr) -> Question {
        let host = || self.0.host.clone().unwrap_or_else(|| addr.to_string());
        match (&self.0.grpc, &self.0.path) {
            (Some(service), _) => Question::Grpc { host: host(), service: service.clone() },
            (None, Some(path)) => Question::Http { host: host(), path: path.clone() },
            (None, None) => Question::Connect,
        }
    }
}
