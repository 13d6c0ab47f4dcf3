//! What those who check endpoints tell the router, and what it tells them.

use std::net::SocketAddr;
use std::sync::Arc;

use health::Position;

use crate::handle::Handle;

impl Handle {
    /// Takes what a health check has told about the copies of databases at `addr`; it holds until it is told otherwise.
    pub fn set_positions(&self, addr: SocketAddr, positions: &Arc<[Position]>) {
        self.shared.set_positions(addr, positions);
    }

    /// How far the copies of databases at `addr` have come, as the last health check has told.
    pub fn positions(&self, addr: SocketAddr) -> Arc<[Position]> {
        self.shared.positions(addr)
    }

    /// Waits until requests had trouble with endpoints, and tells which; for one listener, who should check them soon.
    pub async fn suspected(&self) -> Vec<SocketAddr> {
        self.shared.suspects.take().await
    }
}
