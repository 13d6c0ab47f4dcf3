//! The router alone: upstreams that a file names, by address or by name, and checks them itself.
//!
//! `plan.rs`: what it is told. `lookup.rs`: when a name is asked for, and what holds meanwhile (pure). `desk.rs`: from members
//! and verdicts to the routing (pure). `drive.rs`: the task that asks endpoints, and names (`ask.rs`).

mod ask;
mod desk;
mod drive;
mod lookup;
mod plan;

use std::sync::Arc;

use tokio::sync::watch;

use crate::routing::{EndpointSource, Routing};

pub use drive::{Alone, Driving};
pub use plan::{Check, Origin, Plan, UpstreamPlan};

/// A routing that somebody else puts together.
#[derive(Debug)]
pub struct StaticSource(watch::Sender<Arc<Routing>>);

impl StaticSource {
    /// A source of `routing`.
    pub fn new(routing: Routing) -> StaticSource {
        StaticSource(watch::Sender::new(Arc::new(routing)))
    }

    /// Puts another routing in its place; no request is lost by it.
    pub fn replace(&self, routing: Routing) {
        self.0.send_replace(Arc::new(routing));
    }
}

impl EndpointSource for StaticSource {
    fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.0.subscribe()
    }
}
