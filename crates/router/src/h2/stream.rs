//! One request and its reply.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};

use super::content::Content;
use super::{grpc, head};
use crate::answer::answer;
use crate::body;
use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::fields::FieldSet;
use crate::reply::ReplyBody;
use crate::sweep::Sweep;
use crate::worker::Worker;

/// The most that goes into one frame: with its head it fills a record of TLS (RFC 8446, 5.1), and does not begin another.
const PIECE_BYTES: usize = (16 << 10) - 9;

/// Why a reply does not come to its end.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client wants it no more")]
    Gone,
    #[error("it took too long")]
    Expired,
    #[error("the reply broke off")]
    Reply,
    #[error("{0}")]
    Http2(#[from] h2::Error),
}

/// What a request's head says of its reply.
struct Asked {
    method: Method,
    grpc: bool,
}

/// Answers a request of the connection `of`.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    of: &Conn,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let conn = Rc::new(of.of_request());
    let _watched = Sweep::watch(worker, Rc::clone(&conn));
    let (mut head, content) = request.into_parts();
    if let Err(padded) = head::inbound(&mut head) {
        Exchange::unreadable(worker, &conn, StatusCode::BAD_REQUEST, padded.to_string());
        return respond.send_reset(Reason::PROTOCOL_ERROR);
    }
    let sent = {
        let mut sent = pin!(exchange(worker, &conn, head, content, &mut respond));
        poll_fn(|cx| worker.turn(|| sent.as_mut().poll(cx))).await
    };
    if let Err(ended) = sent {
        tracing::debug!(peer = %conn.peer, %ended, "request broke off");
        respond.send_reset(match ended {
            Ended::Gone => Reason::CANCEL,
            _ => Reason::INTERNAL_ERROR,
        });
    }
}

async fn exchange(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    head: http::request::Parts,
    content: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Ended> {
    let asked = Asked { method: head.method.clone(), grpc: grpc::is(&head.headers) };
    let set = FieldSet::of(&head.headers);
    let content = (!content.is_end_stream()).then(|| body::Content::H2(Content::new(content, &head)));
    if set.expect && content.is_some() {
        let mut go_on = Response::new(());
        *go_on.status_mut() = StatusCode::CONTINUE;
        respond.send_informational(go_on)?;
    }
    let mut answer = pin!(answer(worker, conn, head, set, content));
    let response = poll_fn(|cx| {
        check(conn, cx)?;
        // A client that takes its request back has not broken off its content.
        match respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(Err(Ended::Gone)),
            Poll::Pending => answer.as_mut().poll(cx).map(Ok),
        }
    });
    let response = response.await?;
    send(worker, conn, &asked, response, respond).await
}

fn check(conn: &Conn, cx: &Context<'_>) -> Result<(), Ended> {
    conn.poll_expired(cx.waker()).map_or(Ok(()), |_| Err(Ended::Expired))
}

async fn send(
    worker: &Worker,
    conn: &Conn,
    asked: &Asked,
    response: Response<ReplyBody>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Ended> {
    let (mut head, body) = response.into_parts();
    let stamp = body.stamp();
    if asked.grpc && head.status != StatusCode::OK && !grpc::is(&head.headers) {
        drop(body);
        let mut refusal = grpc::refusal(head.status, &mut head.headers);
        head::outbound(refusal.headers_mut(), stamp, None, worker.date());
        respond.send_response(refusal, true)?;
        return Ok(());
    }
    let has_content = head::may_have_content(&asked.method, head.status);
    let length = body.size_hint().exact().filter(|_| has_content);
    head::outbound(&mut head.headers, stamp, length, worker.date());
    if !has_content || body.is_end_stream() {
        // The request's record is complete before the client has its reply.
        drop(body);
        respond.send_response(Response::from_parts(head, ()), true)?;
        return Ok(());
    }
    let mut sending = respond.send_response(Response::from_parts(head, ()), false)?;
    let mut body = Some(body);
    while let Some(content) = &mut body {
        let frame = poll_fn(|cx| {
            check(conn, cx)?;
            match sending.poll_reset(cx) {
                Poll::Ready(_) => Poll::Ready(Err(Ended::Gone)),
                Poll::Pending => Pin::new(&mut *content).poll_frame(cx).map(Ok),
            }
        });
        let frame = frame.await?.transpose().map_err(|_| Ended::Reply)?;
        let last = frame.as_ref().is_none_or(Frame::is_trailers) || content.is_end_stream();
        if last {
            body = None;
        }
        let data = frame.map_or_else(|| Ok(Bytes::new()), Frame::into_data);
        match data {
            Ok(data) => send_data(conn, &mut sending, data, last).await?,
            Err(frame) => sending.send_trailers(frame.into_trailers().unwrap_or_default())?,
        }
    }
    Ok(())
}

/// Sends a piece as the client makes room for it.
async fn send_data(conn: &Conn, sending: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Result<(), Ended> {
    while !data.is_empty() {
        sending.reserve_capacity(data.len());
        let room = poll_fn(|cx| poll_room(conn, sending, cx)).await?;
        conn.wrote();
        let piece = data.split_to(room.min(data.len()).min(PIECE_BYTES));
        sending.send_data(piece, last && data.is_empty())?;
        if data.is_empty() {
            return Ok(());
        }
    }
    if last { Ok(sending.send_data(data, true)?) } else { Ok(()) }
}

fn poll_room(conn: &Conn, sending: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<usize, Ended>> {
    check(conn, cx)?;
    while sending.capacity() == 0 {
        match sending.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
            Poll::Ready(None) => return Poll::Ready(Err(Ended::Gone)),
            Poll::Pending => {
                conn.write_is_blocked();
                return Poll::Pending;
            }
        }
    }
    Poll::Ready(Ok(sending.capacity()))
}
