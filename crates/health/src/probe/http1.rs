//! A check in HTTP/1.1.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use net::stream::Stream;

use super::{AGENT, CONTENT_BYTES_MAX, Failure, HEAD_BYTES_MAX, of_io};

/// `GET path`: the head of the answer.
pub(super) async fn get(stream: Stream, host: &str, path: &str) -> Result<Parts, Failure> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::BadTarget(path.into()))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| of_hyper(&e))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| of_hyper(&e))?;
        let (head, content) = response.into_parts();
        skim(content).await;
        Ok(head)
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

fn of_hyper(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::NotHttp(error.to_string());
    }
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) => of_io(cause),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Failure::Closed,
        None => Failure::Io(error.to_string()),
    }
}
