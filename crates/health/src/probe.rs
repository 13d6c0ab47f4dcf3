//! One check over HTTP: connect, `GET`, read the head and a bounded piece of the content.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of an answer's content that are read before the connection is closed. Closing on an endpoint that still writes
/// would fill its log with broken pipes, so a reasonable answer is read to its end.
const CONTENT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Why a check failed, in words that an operator reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// No whole answer in time; milliseconds.
    #[error("no answer within {0} ms")]
    Timeout(u64),
    /// An answer, but not 200 to 399.
    #[error("answered {0}")]
    Status(u16),
    /// The connection ended before the answer.
    #[error("connection closed before the answer")]
    Closed,
    /// What came is not HTTP.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    /// The path or the host cannot stand in a request.
    #[error("`{0}` cannot be asked for")]
    BadTarget(String),
    /// Any other error of the connection.
    #[error("{0}")]
    Io(String),
}

/// Asks `GET path` of `addr` once, with `host` as its Host; 200 to 399 within `timeout` is good.
///
/// # Errors
/// Why the endpoint cannot be called healthy.
pub async fn probe(addr: SocketAddr, host: &str, path: &str, timeout: Duration) -> Result<(), Failure> {
    match tokio::time::timeout(timeout, ask(addr, host, path)).await {
        Ok(answer) => judge(answer?),
        Err(_) => Err(Failure::Timeout(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
    }
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    match status.as_u16() {
        200..=399 => Ok(()),
        other => Err(Failure::Status(other)),
    }
}

async fn ask(addr: SocketAddr, host: &str, path: &str) -> Result<StatusCode, Failure> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "forebay-health")
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::BadTarget(path.into()))?;
    let stream = TcpStream::connect(addr).await.map_err(|e| of_io(&e))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| of_hyper(&e))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| of_hyper(&e))?;
        let status = response.status();
        skim(response.into_body()).await;
        Ok(status)
    };
    // The connection is driven here and dies with this future; nothing outlives a check. What ends it early, the
    // exchange is told.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ended = connection => exchange.await,
    }
}

/// Reads the content up to the bound. What goes wrong here no longer matters: the head has said it.
async fn skim(mut content: Incoming) {
    let mut left = CONTENT_BYTES_MAX;
    while let Some(Ok(frame)) = content.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

fn of_io(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Io(error.to_string()),
    }
}

fn of_hyper(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::NotHttp(error.to_string());
    }
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match cause {
        Some(cause) => of_io(cause),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Failure::Closed,
        None => Failure::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// An endpoint that reads a request and says `reply`, then closes; an empty reply only closes.
    fn endpoint(reply: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            assert!(buffer[..read].starts_with(b"GET /up HTTP/1.1\r\nhost: shop\r\n"), "not the request expected");
            stream.write_all(reply.as_bytes()).unwrap();
        });
        addr
    }

    async fn asked(addr: SocketAddr) -> Result<(), Failure> {
        probe(addr, "shop", "/up", Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn two_hundred_to_three_ninety_nine_is_good() {
        assert_eq!(asked(endpoint("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await, Ok(()));
        assert_eq!(asked(endpoint("HTTP/1.1 302 Found\r\nlocation: /in\r\n\r\n")).await, Ok(()));
        assert_eq!(asked(endpoint("HTTP/1.1 404 Not Found\r\n\r\n")).await, Err(Failure::Status(404)));
        assert_eq!(asked(endpoint("HTTP/1.1 500 Oh\r\n\r\nno")).await.unwrap_err().to_string(), "answered 500");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_said_in_words() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(asked(free).await.unwrap_err().to_string(), "connection refused");
        assert_eq!(asked(endpoint("")).await.unwrap_err().to_string(), "connection closed before the answer");
        assert!(matches!(asked(endpoint("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await, Err(Failure::NotHttp(_))));
    }

    #[tokio::test]
    async fn an_endpoint_that_never_answers_is_given_up() {
        // It listens, the kernel takes the connection, and nobody ever reads.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let failure = probe(addr, "shop", "/up", Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(failure.to_string(), "no answer within 50 ms");
    }
}
