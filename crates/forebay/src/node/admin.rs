//! The admin API's doors: the socket of the data folder, and TCP behind a token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use control::auth::AdminToken;
use control::error::{ApiError, Kind};
use control::serve::{Server, bind_unix};
use net::listen::ListenAddr;
use net::sockets::Sockets;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::errors;
use crate::paths::DataDir;

/// What the admin API's addresses are listened on for.
const NAME: &str = "admin";

/// The admin API's sockets, its token, and what was bound.
pub(super) struct Doors {
    unix: Arc<UnixListener>,
    tcp: Vec<Arc<TcpListener>>,
    token: AdminToken,
    pub(super) addrs: Vec<SocketAddr>,
}

/// Binds the admin API's socket and its addresses, named at `at`, and makes its token where there is none.
pub(super) fn doors(
    sockets: &Sockets,
    socket: &Path,
    listen: &[ListenAddr],
    data: &DataDir,
    at: String,
) -> Result<Doors, ApiError> {
    let bound = sockets.bind_all(NAME, listen, 1).map_err(|error| errors::listen(&error, at))?;
    let token = AdminToken::load_or_create(&data.admin_token()).map_err(|error| {
        ApiError::new(Kind::Failed, "admin_token_unusable", format!("cannot use the admin token: {error}"))
            .at(data.admin_token().display().to_string())
            .hint("remove the file, and the next start makes a new token")
    })?;
    let addrs = bound.iter().map(|bound| bound.addr).collect();
    let tcp = bound
        .into_iter()
        .flat_map(|bound| bound.sockets)
        .map(|socket| TcpListener::from_std(socket).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApiError::new(Kind::Failed, "listen_failed", error.to_string()))?;
    let unix = sockets.bind_unix(socket, bind_unix).and_then(UnixListener::from_std).map(Arc::new);
    let unix = unix.map_err(|error| {
        ApiError::new(Kind::Failed, "admin_socket_failed", format!("cannot open the admin socket: {error}"))
            .at(socket.display().to_string())
    })?;
    tcp.iter().for_each(|listener| sockets.keep(NAME, listener));
    sockets.keep(NAME, &unix);
    Ok(Doors { unix, tcp, token, addrs })
}

/// The admin API, running.
pub(super) struct Admin {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Admin {
    /// Serves `routes` at all doors. Runs on a `LocalSet`.
    pub(super) fn start(routes: Router, doors: Doors) -> Admin {
        let (stop, stopped) = watch::channel(false);
        let server = Server::new(routes, doors.token);
        Admin { stop, running: tokio::task::spawn_local(server.run(doors.unix, doors.tcp, stopped)) }
    }

    /// Ends it, once requests in flight have got their answers.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the admin API ended badly");
        }
    }
}
