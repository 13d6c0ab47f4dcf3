//! The admin API, running: of a node, or of one plane that runs alone.

use std::path::Path;

use axum::Router;
use control::auth::AdminToken;
use control::error::{ApiError, Kind};
use control::serve::{Server, bind_unix};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The admin API, running.
pub(super) struct Admin {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Admin {
    /// Serves `routes` on the socket, and on TCP behind the token. Runs on a `LocalSet`.
    pub(super) fn start(
        routes: Router,
        token: AdminToken,
        tcp: Vec<TcpListener>,
        socket: &Path,
    ) -> Result<Admin, ApiError> {
        let unix = bind_unix(socket).map_err(|error| {
            ApiError::new(Kind::Failed, "admin_socket_failed", format!("cannot open the admin socket: {error}"))
                .at(socket.display().to_string())
        })?;
        let (stop, stopped) = watch::channel(false);
        let server = Server::new(routes, token);
        Ok(Admin { stop, running: tokio::task::spawn_local(server.run(unix, tcp, stopped)) })
    }

    /// Lets requests in flight finish for a moment.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the admin API ended badly");
        }
    }
}
