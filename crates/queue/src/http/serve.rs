//! The HTTP API's own door, for applications: loopback only, each behind its token.

use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::response::IntoResponse;
use control::error::{ApiError, Kind};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::sockets::Sockets;
use stdx::base64;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::asked::Peer;
use super::{Api, Scoping, routes};
use crate::event::TokenSource;
use crate::handle::HTTP;
use crate::handle::Handle;
use crate::names::Namespace;

/// Time to send the header block, and between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes buffered per connection beside bodies.
const BUFFER_BYTES_MAX: usize = 32 << 10;

/// What a connection beyond the limit hears.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The door.
pub(crate) struct Door {
    routes: Router,
    tokens: Arc<dyn TokenSource>,
    connections: Arc<Semaphore>,
    connections_max: u32,
}

impl Door {
    pub(crate) fn new(
        queue: Handle,
        tokens: Arc<dyn TokenSource>,
        connections_max: u32,
        input_bytes_max: usize,
    ) -> Door {
        let bodies = Some(Arc::new(Semaphore::new(input_bytes_max.min(Semaphore::MAX_PERMITS))));
        let routes = routes(Api { handle: queue, scoping: Scoping::ByToken, bodies })
            .fallback(|| async { ApiError::new(Kind::NotFound, "no_such_endpoint", "the queue has no such endpoint") });
        Door { routes, tokens, connections: Arc::new(Semaphore::new(connections_max as usize)), connections_max }
    }

    /// Waits until no connection is open.
    pub(crate) async fn finish(&self) {
        if self.connections.acquire_many(self.connections_max).await.is_err() {
            tracing::debug!("the HTTP door was closed twice");
        }
    }

    async fn answer(&self, mut request: Request<Body>, peer: Option<Peer>) -> Response<Body> {
        match self.admit(request.headers()) {
            Ok(namespace) => {
                request.extensions_mut().insert(namespace);
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                match self.routes.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Err(refused) => refused,
        }
    }

    /// Whose tubes the caller may see. A web page must not be able to make its reader's browser ask: browsers say where a
    /// page is from, and by which name they found us.
    fn admit(&self, headers: &HeaderMap) -> Result<Namespace, Response<Body>> {
        if headers.contains_key(ORIGIN) || !headers.get(HOST).is_some_and(is_of_this_machine) {
            let error = ApiError::new(Kind::Denied, "browser_refused", "the queue is not for web pages")
                .hint("send no Origin, and name the queue by its address or localhost");
            return Err(error.into_response());
        }
        let Some(given) = headers.get(AUTHORIZATION) else { return Ok(Namespace::SHARED) };
        match token_of(given).and_then(|token| self.tokens.namespace(&token)) {
            Some(scope) => Ok(Namespace(Some(scope))),
            None => Err(unauthorized()),
        }
    }
}

/// The token of `Bearer TOKEN`, or the password of `Basic`: what clients make of a URL with a name and a password in it.
fn token_of(authorization: &HeaderValue) -> Option<String> {
    let (scheme, rest) = authorization.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(base64::decode(rest)?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn unauthorized() -> Response<Body> {
    let error = ApiError::new(Kind::Denied, "queue_token_wrong", "nobody has this token")
        .hint("send `Authorization: Bearer TOKEN` with the token of FOREBAY_QUEUE_HTTP_URL or FOREBAY_QUEUE_URL");
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// An address, or `localhost`: a name could be anybody's that leads here.
fn is_of_this_machine(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

/// Accepts until `stop` turns true.
pub(crate) async fn accept(door: Rc<Door>, listener: TcpListener, sockets: Sockets, mut stop: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => Arc::new(listener),
        Err(cause) => return tracing::error!(%cause, "the queue's HTTP door cannot be watched"),
    };
    sockets.keep(HTTP, &listener);
    while !*stop.borrow() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&door.connections).try_acquire_owned() {
                Ok(permit) => drop(tokio::task::spawn_local(converse(Rc::clone(&door), stream, permit, stop.clone()))),
                Err(_) => refuse(&stream),
            },
            Err(cause) => net::accept::rest(&cause).await,
        }
    }
}

fn refuse(stream: &TcpStream) {
    if let Err(cause) = stream.try_write(TOO_MANY) {
        tracing::debug!(%cause, "an HTTP connection beyond the limit was not told");
    }
}

async fn converse(door: Rc<Door>, stream: TcpStream, permit: OwnedSemaphorePermit, mut stop: watch::Receiver<bool>) {
    let peer = stream.peer_addr().ok().map(Peer);
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let door = Rc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(request.map(Body::new), peer).await) }
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
        tracing::debug!(%error, "an HTTP connection of the queue ended early");
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_such_or_as_the_password_of_a_url() {
        for (field, token) in [
            ("Bearer 0123", Some("0123")),
            ("bearer  0123 ", Some("0123")),
            ("Basic Zm9yZWJheTowMTIz", Some("0123")),
            ("Basic Zm9yZWJheQ==", None),
            ("Basic %%%", None),
            ("Digest x", None),
            ("0123", None),
        ] {
            assert_eq!(token_of(&field.parse().unwrap()).as_deref(), token, "{field}");
        }
    }

    #[test]
    fn only_names_that_nobody_else_can_give_are_ours() {
        for ours in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:11400", "[::1]:80", "[::1]"] {
            assert!(is_of_this_machine(&ours.parse().unwrap()), "{ours}");
        }
        for other in ["example.org", "example.org:11400", "localhost.example.org", "", ":80", "127.0.0.1.example.org"] {
            assert!(!is_of_this_machine(&other.parse().unwrap()), "{other}");
        }
    }
}
