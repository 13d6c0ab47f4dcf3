//! The admin API's sockets: a unix socket that only its owner can open, and TCP behind the bearer token.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::auth::{AdminToken, Caller};
use crate::error::{ApiError, Kind};

/// Admin connections open at once; beyond it they wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 256;
/// Time for a client to send its header block.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes buffered per connection.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Time for requests in flight to finish when the node stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Binds the admin socket with mode 0600; what lies there from a node that died is replaced.
///
/// The caller holds the lock of the data folder, so that the socket cannot be that of a living node.
///
/// # Errors
/// What the system says, such as a path longer than 107 bytes.
pub fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Where one admin connection comes from, which decides what it must show.
#[derive(Clone)]
enum Door {
    Unix { uid: u32 },
    Tcp { token: AdminToken },
}

/// The admin API of a node: the planes' routes behind the doors.
pub struct Server {
    routes: Router,
    token: AdminToken,
    connections: Rc<Semaphore>,
}

impl Server {
    /// A server of `routes`; TCP clients must show `token`.
    pub fn new(routes: Router, token: AdminToken) -> Server {
        let routes = routes.fallback(|| async {
            ApiError::new(Kind::NotFound, "no_such_endpoint", "the admin API has no such endpoint")
                .hint("a router or a queue that runs alone answers only for itself; else this program and the node are of different versions")
        });
        Server { routes, token, connections: Rc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// Serves until `stop` turns true, then lets requests in flight finish for a few seconds. Runs on a `LocalSet`.
    pub async fn run(self, unix: Arc<UnixListener>, tcp: Vec<Arc<TcpListener>>, stop: watch::Receiver<bool>) {
        let server = Rc::new(self);
        let mut tasks = JoinSet::new();
        tasks.spawn_local(server.clone().accept_unix(unix, stop.clone()));
        for listener in tcp {
            tasks.spawn_local(server.clone().accept_tcp(listener, stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
        // Every connection holds a permit; all of them back means that all are done.
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if tokio::time::timeout(DRAIN_LIMIT, server.connections.acquire_many(all)).await.is_err() {
            tracing::warn!("admin requests were still in flight at the stop");
        }
    }

    async fn accept_unix(self: Rc<Self>, listener: Arc<UnixListener>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.changed() => continue,
            };
            match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream))) {
                Ok((uid, stream)) => self.clone().spawn(stream, Door::Unix { uid }, stop.clone()).await,
                Err(error) => pause_after(&error).await,
            }
        }
    }

    async fn accept_tcp(self: Rc<Self>, listener: Arc<TcpListener>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.changed() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.clone().spawn(stream, Door::Tcp { token: self.token.clone() }, stop.clone()).await;
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    async fn spawn<S>(self: Rc<Self>, stream: S, door: Door, stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Ok(permit) = acquire(&self.connections).await else { return };
        tokio::task::spawn_local(async move {
            serve_connection(stream, door, self.routes.clone(), stop).await;
            drop(permit);
        });
    }
}

/// A permit that lives as long as its connection, borrowed from a semaphore on the same thread.
struct Permit(Rc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

async fn acquire(semaphore: &Rc<Semaphore>) -> Result<Permit, tokio::sync::AcquireError> {
    semaphore.acquire().await?.forget();
    Ok(Permit(semaphore.clone()))
}

/// Out of descriptors, or a client that was gone at once: wait a little instead of spinning.
async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept an admin connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn serve_connection<S>(stream: S, door: Door, routes: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (door, routes) = (door.clone(), routes.clone());
        async move { Ok::<_, Infallible>(answer(request.map(Body::new), &door, routes).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

async fn answer(mut request: Request<Body>, door: &Door, routes: Router) -> http::Response<Body> {
    let caller = match door {
        Door::Unix { uid } => Caller::Local { uid: *uid },
        Door::Tcp { token } if token.admits(request.headers()) => Caller::Token,
        Door::Tcp { .. } => return unauthorized(),
    };
    request.extensions_mut().insert(caller);
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn unauthorized() -> http::Response<Body> {
    use axum::response::IntoResponse;
    let error = ApiError::new(Kind::Denied, "admin_token_wrong", "the admin API needs the bearer token")
        .hint("send `Authorization: Bearer TOKEN`; the token is in DATA/admin.token");
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(http::header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    response
}
