//! What a file says about routes and upstreams, as the router takes it.

use config::RouterFile;
use control::error::ApiError;
use router::config::RoutePolicy;
use router::standalone::{Check, Plan, UpstreamPlan};
use router::{RouteSpec, UpstreamName};

use crate::node::connectors::Connectors;

/// What a file says about routes and upstreams.
///
/// # Errors
/// When the TLS of an upstream cannot be used.
pub(super) fn plan_of(file: &RouterFile, connectors: &Connectors) -> Result<Plan, ApiError> {
    let mut upstreams = Vec::new();
    for (name, upstream) in &file.upstreams {
        // A file that was read has one.
        let Some(origin) = upstream.origin() else { continue };
        upstreams.push(UpstreamPlan {
            name: UpstreamName::new(name),
            origin,
            check: upstream.health.clone().map(Check::new),
            policy: upstream.policy.clone(),
            reach: connectors.reach(name, upstream)?,
        });
    }
    Ok(Plan {
        routes: file
            .routes
            .iter()
            .map(|route| RouteSpec {
                name: format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path_prefix),
                host: route.host.clone(),
                path_prefix: route.path_prefix.clone(),
                upstream: UpstreamName::new(&route.upstream),
                fallback: fallback(&route.policy).map(UpstreamName::new),
                primary: route.policy.read_your_writes.as_ref().map(|own| UpstreamName::new(&own.primary)),
                scope: None,
                policy: route.policy.clone(),
            })
            .collect(),
        upstreams,
    })
}

fn fallback(policy: &RoutePolicy) -> Option<&str> {
    policy.fallback.as_ref()?.upstream.as_deref()
}
