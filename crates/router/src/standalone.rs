//! The router alone: a routing that somebody else reads from a file.

use std::sync::Arc;

use tokio::sync::watch;

use crate::routing::{EndpointSource, Routing};

/// A routing that comes from a file, and from the file again when it is read anew.
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
