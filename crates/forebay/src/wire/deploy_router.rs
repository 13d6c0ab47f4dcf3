//! Deploy's endpoint table becomes the router's routing; routes, endpoints and tube limits change together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use config::Resolved;
use deploy::{Endpoint, EndpointTable, ScopeTable, Wait};
use queue::config::TubeConfig;
use router::config::RoutePolicy;
use router::{EndpointSource, EndpointSpec, RouteSpec, Routing, UpstreamName, UpstreamSpec};
use stdx::ids::{ProcessName, Scope};
use tokio::sync::watch;

/// The way from deploy to the router. Made before the router is started, connected to it after.
pub(crate) struct Traffic {
    routing: watch::Sender<Arc<Routing>>,
    receivers: OnceLock<Receivers>,
}

struct Receivers {
    router: router::Handle,
    queue: queue::Handle,
}

impl Receivers {
    /// Tube limits follow the release; a queue that has failed says so itself.
    fn configure_queue(&self, scope: Scope, tubes: BTreeMap<String, TubeConfig>) {
        let queue = self.queue.clone();
        tokio::spawn(async move {
            if let Err(error) = queue.configure(scope.clone(), tubes).await {
                tracing::error!(%scope, %error, "the queue did not take the limits of its tubes");
            }
        });
    }
}

/// What the router is given to look at.
pub(crate) struct Source(watch::Receiver<Arc<Routing>>);

impl EndpointSource for Source {
    fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.0.clone()
    }
}

impl Traffic {
    pub(crate) fn new() -> Traffic {
        Traffic { routing: watch::Sender::new(Arc::default()), receivers: OnceLock::new() }
    }

    /// The end for the router.
    pub(crate) fn source(&self) -> Arc<Source> {
        Arc::new(Source(self.routing.subscribe()))
    }

    /// Joins both ends; nothing is published before.
    pub(crate) fn connect(&self, router: router::Handle, queue: queue::Handle) {
        assert!(self.receivers.set(Receivers { router, queue }).is_ok(), "the router is connected once");
    }
}

impl deploy::Traffic for Traffic {
    fn publish(&self, table: Arc<EndpointTable>) {
        let mut routing = Routing::default();
        for (scope, part) in &table.scopes {
            // A release stores what this very Forebay, or an older one, has resolved; what cannot be read back has no
            // routes, and the others keep theirs.
            match Resolved::from_json(&part.resolved) {
                Ok(resolved) => {
                    add(&mut routing, scope, part, &resolved);
                    if let Some(receivers) = self.receivers.get() {
                        let router = crate::node::reachable(&receivers.router.bound());
                        receivers.queue.employ(scope.clone().into(), super::queue_work::work(&resolved, router));
                        receivers.configure_queue(scope.clone(), resolved.queues);
                    }
                }
                Err(error) => tracing::error!(%scope, %error, "a release's manifest cannot be read; it has no routes"),
            }
        }
        self.routing.send_replace(Arc::new(routing));
    }

    fn applied(&self) -> Wait<'_, ()> {
        Box::pin(async move {
            if let Some(receivers) = self.receivers.get() {
                receivers.router.applied().await;
            }
        })
    }

    fn positions(&self, addr: SocketAddr, positions: &Arc<[health::Position]>) {
        if let Some(receivers) = self.receivers.get() {
            receivers.router.set_positions(addr, positions);
        }
    }

    fn suspected(&self) -> Wait<'_, Vec<SocketAddr>> {
        Box::pin(async move {
            match self.receivers.get() {
                Some(receivers) => receivers.router.suspected().await,
                None => std::future::pending().await,
            }
        })
    }

    fn drained(&self, addrs: Vec<SocketAddr>, limit: Duration) -> Wait<'_, bool> {
        Box::pin(async move {
            match self.receivers.get() {
                Some(receivers) => receivers.router.drained(&addrs, limit).await,
                None => true,
            }
        })
    }
}

/// One application's routes, and one upstream for each process that they name.
fn add(routing: &mut Routing, scope: &Scope, part: &ScopeTable, resolved: &Resolved) {
    for route in &resolved.routes {
        routing.routes.push(RouteSpec {
            name: route_name(scope, route.host.as_deref(), &route.path_prefix),
            host: route.host.clone(),
            path_prefix: route.path_prefix.clone(),
            upstream: upstream(scope, &route.process),
            fallback: fallback(scope, &route.policy),
            primary: primary(scope, &route.policy),
            scope: Some(scope.clone()),
            policy: route.policy.clone(),
        });
    }
    for process in resolved.routed() {
        let endpoints = part.endpoints.iter().filter(|endpoint| endpoint.process == process).map(endpoint).collect();
        let policy = resolved.upstreams.get(&process).cloned().unwrap_or_default();
        routing.upstreams.push(UpstreamSpec {
            name: upstream(scope, &process),
            endpoints,
            policy,
            reach: Default::default(),
        });
    }
}

/// `shop/production/cart`, and with a host `shop/production//shop.example/cart`: what no other route is called.
fn route_name(scope: &Scope, host: Option<&str>, path_prefix: &str) -> String {
    match host {
        Some(host) => format!("{scope}//{host}{path_prefix}"),
        None => format!("{scope}{path_prefix}"),
    }
}

/// The process that a route falls back to; the manifest's rules have seen that there is one.
fn fallback(scope: &Scope, policy: &RoutePolicy) -> Option<UpstreamName> {
    let process = policy.fallback.as_ref()?.upstream.as_ref()?;
    Some(UpstreamName::new(&format!("{scope}/{process}")))
}

fn primary(scope: &Scope, policy: &RoutePolicy) -> Option<UpstreamName> {
    let process = &policy.read_your_writes.as_ref()?.primary;
    Some(UpstreamName::new(&format!("{scope}/{process}")))
}

fn upstream(scope: &Scope, process: &ProcessName) -> UpstreamName {
    UpstreamName::new(&format!("{scope}/{process}"))
}

fn endpoint(endpoint: &Endpoint) -> EndpointSpec {
    EndpointSpec {
        instance: Some(endpoint.instance.to_string()),
        release: Some(endpoint.release),
        health: endpoint.health,
        draining: endpoint.draining,
        ..EndpointSpec::at(endpoint.addr)
    }
}
