//! A check in HTTP/2, and the one of gRPC.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::response::Parts;
use http::{HeaderMap, Request, Uri, Version, header};
use net::stream::Stream;

use super::{AGENT, CONTENT_BYTES_MAX, Failure, HEAD_BYTES_MAX, grpc, of_io};

/// `GET path`: the head of the answer.
pub(super) async fn get(stream: Stream, host: &str, path: &str) -> Result<Parts, Failure> {
    let request = Request::get(target(&stream, host, path)?).version(Version::HTTP_2).header(header::USER_AGENT, AGENT);
    let request = request.body(()).map_err(|_| Failure::BadTarget(path.into()))?;
    driven(stream, async |mut sender| {
        let (answer, _) = sender.send_request(request, true).map_err(of_h2)?;
        let (head, content) = answer.await.map_err(of_h2)?.into_parts();
        // The head has said it; what goes wrong with the content no longer matters.
        read(content, CONTENT_BYTES_MAX).await.ok();
        Ok(head)
    })
    .await
}

/// Whether the server says of a service that it serves.
pub(super) async fn check(stream: Stream, host: &str, service: &str) -> Result<(), Failure> {
    let request = grpc::head().uri(target(&stream, host, grpc::PATH)?).header(header::USER_AGENT, AGENT);
    let request = request.body(()).map_err(|_| Failure::BadTarget(host.into()))?;
    driven(stream, async |mut sender| {
        let (answer, mut sending) = sender.send_request(request, false).map_err(of_h2)?;
        sending.send_data(grpc::question(service).into(), true).map_err(of_h2)?;
        let (head, content) = answer.await.map_err(of_h2)?.into_parts();
        if head.status != 200 {
            return Err(Failure::Status(head.status.as_u16()));
        }
        let (content, trailers) = read(content, grpc::ANSWER_BYTES_MAX).await?;
        grpc::judge(&content, trailers.as_ref().unwrap_or(&head.headers))
    })
    .await
}

fn target(stream: &Stream, host: &str, path: &str) -> Result<Uri, Failure> {
    let scheme = if matches!(stream, Stream::Tls(_)) { "https" } else { "http" };
    let target = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    target.map_err(|_| Failure::BadTarget(format!("{host}{path}")))
}

/// Makes one exchange. The connection is driven here and dies with this future; nothing outlives a check.
async fn driven<T>(
    stream: Stream,
    exchange: impl AsyncFnOnce(SendRequest<Bytes>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(of_h2)?;
    let exchange = async {
        let sender = sender.ready().await.map_err(of_h2)?;
        exchange(sender).await
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ended = connection => exchange.await,
    }
}

/// The content up to a bound, and the trailers behind it.
async fn read(mut content: RecvStream, bytes_max: usize) -> Result<(Vec<u8>, Option<HeaderMap>), Failure> {
    let mut whole = Vec::new();
    while let Some(data) = content.data().await {
        let data = data.map_err(of_h2)?;
        if whole.len() + data.len() > bytes_max {
            return Err(Failure::Closed);
        }
        content.flow_control().release_capacity(data.len()).map_err(of_h2)?;
        whole.extend_from_slice(&data);
    }
    Ok((whole, content.trailers().await.map_err(of_h2)?))
}

fn of_h2(error: h2::Error) -> Failure {
    match error.get_io() {
        Some(io) => of_io(io),
        None if error.is_go_away() || error.is_reset() => Failure::NotHttp(error.to_string()),
        None => Failure::Closed,
    }
}
