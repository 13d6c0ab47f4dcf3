//! One check: over HTTP (connect, `GET`, read the head and a bounded piece of the content), by the health protocol of gRPC,
//! or only a connection.

mod grpc;
mod http1;
mod http2;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::response::Parts;
use net::reach::Reach;

use crate::position::{self, Position};

/// Bytes of an answer's content that are read before the connection is closed. Closing on an endpoint that still writes
/// would fill its log with broken pipes, so a reasonable answer is read to its end.
const CONTENT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Who asks.
const AGENT: &str = "forebay-health";

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
    /// The call of the gRPC health service failed: its status, its message.
    #[error("the gRPC health service answered status {0} {1}")]
    Grpc(u16, String),
    /// The gRPC health service answered, but not that it serves.
    #[error("the gRPC health service says {0}")]
    NotServing(&'static str),
    /// What came is not gRPC.
    #[error("the answer is not gRPC: {0}")]
    NotGrpc(String),
    /// The path or the host cannot stand in a request.
    #[error("`{0}` cannot be asked for")]
    BadTarget(String),
    /// Any other error of the connection.
    #[error("{0}")]
    Io(String),
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `GET path` with `host` as its Host; 200 to 399 is good.
    Http {
        /// The `Host`.
        host: String,
        /// The path, with its query.
        path: String,
    },
    /// Whether a service serves, by the health protocol of gRPC; that is HTTP/2 in any case.
    Grpc {
        /// The `:authority`.
        host: String,
        /// The service; empty: the server as a whole.
        service: String,
    },
    /// Whether it takes connections.
    Connect,
}

/// How an endpoint is come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Approach {
    /// What is said first. With TLS, what is spoken then is agreed on.
    pub reach: Reach,
    /// It speaks HTTP/2 without TLS, by prior knowledge.
    pub http2: bool,
}

/// A good answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How far the endpoint's copies of databases have come, as `Forebay-Position` says.
    pub positions: Vec<Position>,
}

/// Asks `addr` once, within `timeout`.
///
/// # Errors
/// Why the endpoint cannot be called healthy.
pub async fn probe(
    addr: SocketAddr,
    question: &Question,
    approach: &Approach,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let asked = async {
        // The checker speaks for nobody.
        let stream = approach.reach.open(addr, None, false).await.map_err(|e| of_io(&e))?;
        let http2 = stream.speaks_http2() || (approach.reach.tls.is_none() && approach.http2);
        match question {
            Question::Http { host, path } if http2 => judge(http2::get(stream, host, path).await?),
            Question::Http { host, path } => judge(http1::get(stream, host, path).await?),
            Question::Grpc { host, service } => http2::check(stream, host, service).await.map(|()| Answer::default()),
            Question::Connect => Ok(Answer::default()),
        }
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Timeout(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
    }
}

fn judge(head: Parts) -> Result<Answer, Failure> {
    match head.status.as_u16() {
        200..=399 => {
            let mut positions = Vec::new();
            for value in head.headers.get_all(position::FIELD).iter().filter_map(|value| value.to_str().ok()) {
                position::read_list(value, &mut positions);
            }
            Ok(Answer { positions })
        }
        other => Err(Failure::Status(other)),
    }
}

fn of_io(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Io(error.to_string()),
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

    fn question() -> Question {
        Question::Http { host: "shop".into(), path: "/up".into() }
    }

    async fn asked(addr: SocketAddr) -> Result<Answer, Failure> {
        probe(addr, &question(), &Approach::default(), Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn two_hundred_to_three_ninety_nine_is_good() {
        assert_eq!(asked(endpoint("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await, Ok(Answer::default()));
        assert_eq!(asked(endpoint("HTTP/1.1 302 Found\r\nlocation: /in\r\n\r\n")).await, Ok(Answer::default()));
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
        let failure = probe(addr, &question(), &Approach::default(), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(failure.to_string(), "no answer within 50 ms");
    }

    #[tokio::test]
    async fn a_good_answer_may_say_how_far_its_databases_have_come() {
        let reply = "HTTP/1.1 200 OK\r\nforebay-position: shop@0/2A, stock@7\r\nForebay-Position: log@1\r\n\r\n";
        let positions = asked(endpoint(reply)).await.unwrap().positions;
        let texts: Vec<String> = positions.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["shop@0/2A", "stock@0/7", "log@0/1"]);
    }

    #[tokio::test]
    async fn a_connection_is_answer_enough_where_only_that_is_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let long = Duration::from_secs(20);
        assert_eq!(probe(addr, &Question::Connect, &Approach::default(), long).await, Ok(Answer::default()));
        drop(listener);
        assert_eq!(probe(addr, &Question::Connect, &Approach::default(), long).await, Err(Failure::Refused));
    }
}
