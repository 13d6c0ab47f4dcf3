//! Where a tube is pushed to: an HTTP/1.1 endpoint, its idle connections, and one post.

use std::cell::RefCell;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use stdx::clock::Wall;
use tokio::net::TcpStream;

use super::{PushError, PushSpec};

/// Bytes of an answer that are read so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Idle connections kept.
const IDLE_MAX: usize = 16;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nothing was sent.
    Unreachable(String),
    /// It was sent, at least in part.
    Broken(String),
}

/// An endpoint.
pub(super) struct Target {
    /// To connect to.
    authority: String,
    host: HeaderValue,
    path: Uri,
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
}

impl Target {
    /// Reads `http://HOST:PORT/PATH`.
    pub(super) fn new(spec: &PushSpec) -> Result<Target, PushError> {
        let malformed = || PushError::Url(spec.url.clone());
        let uri: Uri = spec.url.parse().map_err(|_| malformed())?;
        if uri.scheme_str() != Some("http") {
            return Err(PushError::Scheme(spec.url.clone()));
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(malformed)?;
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(|_| malformed())?;
        let host = spec.host.as_deref().unwrap_or(authority.as_str()).parse().map_err(|_| malformed())?;
        let authority = format!("{}:{port}", authority.host());
        Ok(Target { authority, host, path, idle: RefCell::default() })
    }

    /// Whether somebody listens there.
    pub(super) async fn knock(&self) -> bool {
        match self.connect().await {
            Ok(sender) => {
                self.keep(sender);
                true
            }
            Err(_) => false,
        }
    }

    /// Posts a job. `now` reads a `Retry-After` that is a date.
    pub(super) async fn post(
        &self,
        fields: &[(HeaderName, String)],
        body: Bytes,
        now: Wall,
    ) -> Result<Answer, NoAnswer> {
        let mut sender = match self.reuse() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let sent = sender.try_send_request(self.request(fields, body.clone())?).await;
        let reply = match sent {
            Ok(reply) => reply,
            Err(mut failed) => {
                if failed.take_message().is_none() {
                    return Err(NoAnswer::Broken(failed.into_error().to_string()));
                }
                // The idle connection was closed before anything was written to it.
                sender = self.connect().await?;
                let again = sender.send_request(self.request(fields, body)?).await;
                again.map_err(|error| NoAnswer::Broken(error.to_string()))?
            }
        };
        let answer = Answer { status: reply.status().as_u16(), retry_after: retry_after(reply.headers(), now) };
        if Limited::new(reply.into_body(), ANSWER_BYTES_MAX).collect().await.is_ok() {
            self.keep(sender);
        }
        Ok(answer)
    }

    fn request(&self, fields: &[(HeaderName, String)], body: Bytes) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut request = Request::builder().method(Method::POST).uri(self.path.clone()).header(HOST, &self.host);
        request = request.header(CONTENT_TYPE, "application/octet-stream");
        for (name, value) in fields {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).map_err(|error| NoAnswer::Unreachable(error.to_string()))
    }

    fn reuse(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|sender| !sender.is_closed());
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let unreachable = |error: String| NoAnswer::Unreachable(format!("{}: {error}", self.authority));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority)).await;
        let stream = connected.map_err(|_| unreachable("no answer".into()))?.map_err(|e| unreachable(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| unreachable(e.to_string()))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(e.to_string()))?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a push target ended early");
            }
        });
        Ok(sender)
    }
}

/// Seconds, or a date of HTTP.
fn retry_after(fields: &HeaderMap, now: Wall) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = u64::try_from(date.timestamp().as_nanosecond()).ok()?;
    Some(Wall(at).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(url: &str) -> PushSpec {
        PushSpec { url: url.into(), host: None, concurrency_max: 1, timeout_ms: 1 }
    }

    #[test]
    fn a_target_is_an_http_url() {
        let target = Target::new(&spec("http://[::1]:8080/a/b?c=d")).unwrap();
        assert_eq!((target.authority.as_str(), target.path.to_string().as_str()), ("[::1]:8080", "/a/b?c=d"));
        assert_eq!(target.host, "[::1]:8080");
        let target = Target::new(&PushSpec { host: Some("shop.test".into()), ..spec("http://localhost") }).unwrap();
        assert_eq!((target.authority.as_str(), target.host.to_str().unwrap()), ("localhost:80", "shop.test"));
        assert!(matches!(Target::new(&spec("https://example.org/")), Err(PushError::Scheme(_))));
        for bad in ["/path", "http://", "http://user:secret@host/", "http://a b/"] {
            assert!(matches!(Target::new(&spec(bad)), Err(PushError::Url(_) | PushError::Scheme(_))), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let fields = |text: &str| HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        let now = Wall(1_445_412_420 * 1_000_000_000);
        assert_eq!(retry_after(&fields(" 120"), now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&fields("Wed, 21 Oct 2015 07:28:00 GMT"), now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(&fields("Wed, 21 Oct 2015 07:20:00 GMT"), now), Some(Duration::ZERO));
        assert_eq!(retry_after(&fields("soon"), now), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
