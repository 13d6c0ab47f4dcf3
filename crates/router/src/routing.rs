//! What the router is told about applications: routes, upstreams, endpoints. Plain data; the router compiles it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use health::Health;
use net::reach::Reach;
use stdx::ids::{ReleaseNo, Scope};
use tokio::sync::watch;

use crate::config::{RoutePolicy, UpstreamPolicy};

/// The name of a set of endpoints that answer alike: `shop/production/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamName(Arc<str>);

impl UpstreamName {
    /// A name; any text will do.
    pub fn new(name: &str) -> UpstreamName {
        UpstreamName(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Everything that the router routes by, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// The routes; of two that take the same host and prefix the first counts.
    pub routes: Vec<RouteSpec>,
    /// The upstreams that routes name.
    pub upstreams: Vec<UpstreamSpec>,
}

/// Which requests go to which upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSpec {
    /// What access records call it.
    pub name: String,
    /// The host, without a port; `None`: any.
    pub host: Option<String>,
    /// The beginning of the path, by whole segments.
    pub path_prefix: String,
    /// Who answers. A name that no upstream has is an upstream without endpoints: requests are held, then 503.
    pub upstream: UpstreamName,
    /// Who is asked when that one cannot answer.
    pub fallback: Option<UpstreamName>,
    /// Who takes its writes, where copies answer reads.
    pub primary: Option<UpstreamName>,
    /// Whose route it is.
    pub scope: Option<Scope>,
    /// Times and sizes.
    pub policy: RoutePolicy,
}

/// A set of endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSpec {
    /// Its name.
    pub name: UpstreamName,
    /// Where it answers.
    pub endpoints: Vec<EndpointSpec>,
    /// What holds for all of them.
    pub policy: UpstreamPolicy,
    /// What is said to them before the first request of a connection.
    pub reach: Reach,
}

/// One address that answers.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSpec {
    /// Where to connect.
    pub addr: SocketAddr,
    /// The instance behind it: `web.17`.
    pub instance: Option<String>,
    /// The release that it runs.
    pub release: Option<ReleaseNo>,
    /// What its checks say. One that is unhealthy is out of rotation, unless too many of its upstream look so; one that is
    /// unknown has not been up yet.
    pub health: Health,
    /// Whether it is on its way out: it finishes what it has and gets nothing new.
    pub draining: bool,
    /// How much it may get compared with the others of its priority; the upstream's `balance.weights` goes before it.
    pub weight: u32,
    /// It gets requests only while nobody of a lower number is up (RFC 2782).
    pub priority: u16,
}

impl EndpointSpec {
    /// A healthy endpoint that nothing but its address is known of.
    pub fn at(addr: SocketAddr) -> EndpointSpec {
        let (health, draining) = (Health::Healthy, false);
        EndpointSpec { addr, instance: None, release: None, health, draining, weight: 1, priority: 0 }
    }
}

/// Where the router learns its routing from, and each change of it.
pub trait EndpointSource: Send + Sync {
    /// The present routing and its changes. When the sender goes away the last routing stays in force.
    fn routing(&self) -> watch::Receiver<Arc<Routing>>;
}
