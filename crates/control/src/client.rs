//! The admin API's client over the node's unix socket; what the CLI speaks.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::error::{ApiError, ErrorBody, Kind};

/// Bytes of a reply that is read whole; streams have no such limit, only one per line.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// Bytes of one line of a stream.
const LINE_BYTES_MAX: usize = 4 << 20;

/// What a request carries.
pub type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A body of these bytes.
pub fn body(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is sent piece by piece as it is made.
pub fn stream_body(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> RequestBody {
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

/// A client of one node.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the node whose admin socket is `socket`.
    pub fn new(socket: PathBuf) -> Client {
        Client { socket }
    }

    /// Whether somebody answers on the socket.
    pub async fn is_there(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    /// Asks and reads a JSON answer.
    ///
    /// # Errors
    /// The node's own error, or `node_unreachable`.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
    ) -> Result<T, ApiError> {
        let reply = self.send(method, path, body).await?;
        let bytes = Limited::new(reply, REPLY_BYTES_MAX).collect().await.map_err(|e| broken(e.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))
    }

    /// Asks for a listing or an object.
    ///
    /// # Errors
    /// The node's own error, or `node_unreachable`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.json(Method::GET, path, body(Bytes::new())).await
    }

    /// Asks for a stream of JSON lines.
    ///
    /// # Errors
    /// The node's own error, or `node_unreachable`.
    pub async fn lines(&self, method: Method, path: &str, body: RequestBody) -> Result<Lines, ApiError> {
        Ok(Lines { body: self.send(method, path, body).await?, buffer: BytesMut::new(), ended: false })
    }

    async fn send(&self, method: Method, path: &str, body: RequestBody) -> Result<Incoming, ApiError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| unreachable_node(&self.socket, &e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.to_string()))?;
        tokio::task::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the node ended early");
            }
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "forebay")
            .body(body)
            .map_err(|e| ApiError::new(Kind::Usage, "request_malformed", e.to_string()))?;
        let reply = sender.send_request(request).await.map_err(|e| broken(e.to_string()))?;
        if reply.status().is_success() {
            return Ok(reply.into_body());
        }
        Err(read_error(reply.status(), reply.into_body()).await)
    }
}

async fn read_error(status: StatusCode, body: Incoming) -> ApiError {
    match Limited::new(body, REPLY_BYTES_MAX).collect().await {
        Ok(whole) => match serde_json::from_slice::<ErrorBody>(&whole.to_bytes()) {
            Ok(body) => body.error,
            Err(_) => ApiError::new(Kind::Failed, "node_error", format!("the node answered {status}")),
        },
        Err(e) => broken(e.to_string()),
    }
}

fn unreachable_node(socket: &Path, error: &io::Error) -> ApiError {
    ApiError::new(Kind::Unavailable, "node_unreachable", "no Forebay node answers here")
        .at(format!("{}: {error}", socket.display()))
        .hint("start one with `forebay node`, or name its folder with --data")
}

fn broken(what: String) -> ApiError {
    ApiError::new(Kind::Failed, "node_connection_lost", format!("the connection to the node broke: {what}"))
        .hint("`forebay ps` tells whether the node still runs")
}

/// A line of a stream: an object, or the error that ends it.
fn read_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(line).map_err(|e| match serde_json::from_slice::<ErrorBody>(line) {
        Ok(body) => body.error,
        Err(_) => broken(e.to_string()),
    })
}

/// A stream of JSON lines.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next object; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the connection breaks, a line is no such object, or the node ends the stream with an error of its own.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return read_line(&line).map(Some);
            }
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(broken("a line is too long".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(e)) => return Err(broken(e.to_string())),
                None => {
                    self.ended = true;
                    if !self.buffer.is_empty() {
                        self.buffer.extend_from_slice(b"\n");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_that_ends_a_stream_is_the_node_s_own() {
        assert_eq!(read_line::<Vec<u8>>(b"[1]\n").unwrap(), [1]);
        let line = serde_json::to_vec(&ErrorBody { error: ApiError::new(Kind::Timeout, "query_stalled", "it ended") });
        let error = read_line::<Vec<u8>>(&line.unwrap()).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::Timeout, "query_stalled"));
        assert_eq!(read_line::<Vec<u8>>(b"{\"half\": ").unwrap_err().code, "node_connection_lost");
    }
}
