//! How the authority is reached: HTTPS, a connection for each request, everything within limits.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use ::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use net::tls::{ConnectConfig, Connector, TlsError};
use tokio::net::TcpStream;

use crate::config::AcmeConfig;

/// Time for one request, from the look-up of its host to the end of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Bytes of one answer: a chain of certificates takes less than 10 KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Reaches the authority. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reach {
    connector: Arc<Connector>,
    turned_away: Arc<Mutex<Option<TurnedAway>>>,
}

/// The authority has turned a request away for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    /// Because there were too many: that holds for all requests.
    pub(crate) is_limit: bool,
    /// For how long, when it says so.
    pub(crate) retry_after: Option<Duration>,
}

impl Reach {
    pub(crate) fn new(config: &AcmeConfig) -> Result<Reach, TlsError> {
        let written = ConnectConfig { ca: config.ca_file.clone(), ..ConnectConfig::default() };
        Ok(Reach { connector: Arc::new(Connector::new(&written)?), turned_away: Arc::default() })
    }

    /// Whether the authority has turned a request away since this was last asked.
    pub(crate) fn take_turned_away(&self) -> Option<TurnedAway> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, BoxError> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let uri = std::mem::take(&mut head.uri);
        let (host, port) = authority(&uri)?;
        head.uri = uri.path_and_query().map_or_else(|| Uri::from_static("/"), |target| target.clone().into());
        let named = if port == 443 { host.clone() } else { format!("{host}:{port}") };
        head.headers.insert(HOST, HeaderValue::try_from(named)?);
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("forebay/", env!("CARGO_PKG_VERSION"))));
        let tcp = TcpStream::connect((host.as_str(), port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.connector.connect_to(&host, tcp).await?;
        let (mut sender, connection) = handshake(TokioIo::new(tls)).await?;
        let answer = async {
            let answer = sender.send_request(Request::from_parts(head, Full::new(body.to_bytes()))).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
            Ok::<_, BoxError>(Response::from_parts(head, body.to_bytes()))
        };
        tokio::select! {
            answer = answer => answer,
            Err(error) = connection => Err(error.into()),
        }
    }

    /// Notes how long the authority wants to be left alone, and turns what is no problem document into an error that says so.
    fn judge(&self, answer: Response<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let status = answer.status();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let is_limit = status == StatusCode::TOO_MANY_REQUESTS;
            let away = TurnedAway { is_limit, retry_after: seconds.map(Duration::from_secs) };
            *self.turned_away.lock().unwrap_or_else(PoisonError::into_inner) = Some(away);
        }
        let is_problem = |value: &HeaderValue| value.as_bytes().starts_with(b"application/problem+json");
        if status.as_u16() >= 400 && !answer.headers().get(CONTENT_TYPE).is_some_and(is_problem) {
            return Err(format!("it answered {status}").into());
        }
        Ok(answer)
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Host and port of an address of the authority's.
fn authority(uri: &Uri) -> Result<(String, u16), BoxError> {
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) => Ok((host.trim_matches(['[', ']']).to_string(), uri.port_u16().unwrap_or(443))),
        _ => Err(format!("`{uri}` is no address with https").into()),
    }
}

impl HttpClient for Reach {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let reach = self.clone();
        Box::pin(async move {
            let late = |_| BoxError::from(io::Error::from(io::ErrorKind::TimedOut));
            let answer = tokio::time::timeout(REQUEST_TIME, reach.send(request)).await.map_err(late).flatten();
            let answer = answer.and_then(|answer| reach.judge(answer)).map_err(Error::Other)?;
            Ok(answer.map(Full::new).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach() -> Reach {
        let ca = rcgen::generate_simple_self_signed(vec!["ca.example".into()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, ca.cert.pem()).unwrap();
        Reach::new(&AcmeConfig { ca_file: Some(path), ..AcmeConfig::default() }).unwrap()
    }

    fn answer(status: u16, kind: &str, retry_after: Option<&str>) -> Response<Bytes> {
        let mut answer = Response::builder().status(status).header(CONTENT_TYPE, kind);
        if let Some(seconds) = retry_after {
            answer = answer.header(RETRY_AFTER, seconds);
        }
        answer.body(Bytes::new()).unwrap()
    }

    #[test]
    fn how_long_the_authority_wants_to_be_left_alone_is_asked_once() {
        let reach = reach();
        reach.judge(answer(429, "application/problem+json; charset=utf-8", Some("3600"))).unwrap();
        let hour = Some(Duration::from_secs(3_600));
        assert_eq!(reach.take_turned_away(), Some(TurnedAway { is_limit: true, retry_after: hour }));
        assert_eq!(reach.take_turned_away(), None);
        reach.judge(answer(200, "application/json", Some("3"))).unwrap();
        assert_eq!(reach.take_turned_away(), None, "that is how often to look at an order");
    }

    #[test]
    fn what_is_no_problem_document_is_told_by_its_status() {
        let reach = reach();
        let error = reach.judge(answer(503, "text/html", Some("60"))).unwrap_err();
        assert_eq!(error.to_string(), "it answered 503 Service Unavailable");
        let minute = Some(Duration::from_secs(60));
        assert_eq!(reach.take_turned_away(), Some(TurnedAway { is_limit: false, retry_after: minute }));
        assert!(reach.judge(answer(400, "application/problem+json", None)).is_ok());
    }

    #[test]
    fn only_https_is_spoken() {
        let of = |text: &'static str| authority(&Uri::from_static(text)).map_err(|error| error.to_string());
        assert_eq!(of("https://ca.example/dir"), Ok(("ca.example".into(), 443)));
        assert_eq!(of("https://[::1]:14000/dir"), Ok(("::1".into(), 14_000)));
        assert!(of("http://ca.example/dir").is_err() && of("/dir").is_err());
    }
}
