//! One request to the origin over a connection of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why the origin gave no answer.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A request as it is sent.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) async fn send(origin: SocketAddr, outgoing: Outgoing) -> Result<Response<Incoming>, Failure> {
    let stream = TcpStream::connect(origin).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            eprintln!("origin: {error}");
        }
    });
    let mut request = Request::new(Full::new(outgoing.body));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = outgoing.target.parse()?;
    *request.headers_mut() = outgoing.headers;
    for name in ["connection", "keep-alive", "te", "upgrade", "transfer-encoding"] {
        request.headers_mut().remove(name);
    }
    Ok(sender.send_request(request).await?)
}
