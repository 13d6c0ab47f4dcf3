//! Settings that change while the router serves, and the routing that each worker takes with them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Config;
use crate::handle::Handle;
use crate::routing::Routing;
use crate::worker::Worker;

/// The keys that [`Handle::reconfigure`] applies, certificates [`Handle::replace_certificates`]; the others count at a start.
pub const LIVE_KEYS: [&str; 17] = [
    "header_timeout_ms",
    "body_timeout_ms",
    "write_timeout_ms",
    "reply_idle_timeout_ms",
    "idle_timeout_ms",
    "tunnel_idle_timeout_ms",
    "tunnel_timeout_ms",
    "body_bytes_max",
    "overtaken_max",
    "held_max",
    "drain_idle_ms",
    "drain_timeout_ms",
    "upgrade_timeout_ms",
    "upgrade_drain_ms",
    "tls.certificates",
    "tls.acme.hosts",
    "tls.acme.hosts_of_routes",
];

impl Handle {
    /// Goes on with other settings; those that are not in [`LIVE_KEYS`] wait for the next start.
    pub fn reconfigure(&self, config: Config) {
        self.shared.reconfigure(config, self.clock.mono());
    }

    /// The time that requests in flight have when it drains, as it is set now.
    pub fn drain_limit(&self) -> Duration {
        Duration::from_millis(self.shared.settings().drain_timeout_ms.into())
    }

    /// The time that requests in flight have when a node upgrades in its place, as it is set now.
    pub fn upgrade_drain_limit(&self) -> Duration {
        Duration::from_millis(self.shared.settings().upgrade_drain_ms.into())
    }

    /// The time that a process has to take the place of this one, as it is set now.
    pub fn upgrade_limit(&self) -> Duration {
        Duration::from_millis(self.shared.settings().upgrade_timeout_ms.into())
    }
}

/// Takes each routing into force, until the source goes away.
pub(crate) async fn follow(worker: Rc<Worker>, mut source: watch::Receiver<Arc<Routing>>) {
    let mut live = worker.shared.live.subscribe();
    loop {
        worker.sweep.take(&live.borrow_and_update());
        worker.adopt(worker.shared.newest(&mut source, worker.now()));
        tokio::select! {
            changed = source.changed() => if changed.is_err() { return },
            // Its sender lives in `shared`.
            _ = live.changed() => {}
        }
    }
}
