//! One connection's life: a request, its reply, the next request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Response, StatusCode, Version};
use http_body::{Body, Frame};

use super::content;
use super::head::HeadFault;
use super::socket::{Ended, Front, Opening};
use super::tunnel;
use super::write::{self, Asked, Way};
use crate::answer::answer;
use crate::body::Content;
use crate::conn::{Conn, Expiry};
use crate::edge::Stream;
use crate::exchange::Exchange;
use crate::gate::Framing;
use crate::h1::pump::{Coding, Pump, Unsent};
use crate::reply::{self, ReplyBody, ReplyFault};
use crate::rescue::Failure;
use crate::worker::Worker;

/// Serves a connection to its end, or to where it turns out to be HTTP/2: then it comes back with what was read of it.
pub(crate) async fn serve(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: Stream) -> Option<(Stream, Bytes)> {
    let front = Rc::new(Front::new(stream, Rc::clone(conn)));
    let ended = {
        let mut requests = pin!(requests(worker, &front));
        poll_fn(|cx| worker.turn(|| requests.as_mut().poll(cx))).await
    };
    match ended {
        Ok(()) => {}
        Err(Ended::NoHead(HeadFault::Version | HeadFault::Malformed))
            if worker.shared.config.http2.enabled && front.begins_http2() =>
        {
            return Rc::into_inner(front).map(Front::into_parts);
        }
        Err(Ended::Switched(switched, head)) => {
            if let Some(front) = Rc::into_inner(front) {
                Box::pin(tunnel::run(worker, conn, front.into_parts(), *switched, head)).await;
            }
            return None;
        }
        Err(Ended::NoHead(fault)) => refuse(worker, &front, fault),
        // To one that sent nothing there is nothing to say.
        Err(Ended::Expired(Expiry::Head)) if front.has_input() => refuse(worker, &front, HeadFault::TooSlow),
        Err(Ended::Expired(Expiry::Idle)) => {}
        Err(Ended::Expired(_)) => return None,
        Err(ended) => {
            tracing::debug!(peer = %conn.peer, %ended, "connection broke off");
            return None;
        }
    }
    if conn.linger.get() || front.has_input() {
        front.linger().await;
    } else {
        front.part();
    }
    front.close(worker);
    None
}

/// One request after the other, until a reply was the last.
async fn requests(worker: &Rc<Worker>, front: &Rc<Front>) -> Result<(), Ended> {
    while let Some(head) = poll_fn(|cx| front.poll_head(cx, worker)).await? {
        let is_1_1 = head.parts.version > Version::HTTP_10;
        let request = front.open(Opening { framing: head.framing, expects: head.set.expect, is_1_1 });
        let has_content = head.framing.is_some_and(|framing| framing != Framing::None);
        let content = has_content.then(|| Content::H1(content::Content::new(Rc::downgrade(front), request)));
        let asked = Asked {
            version: head.parts.version,
            head_only: head.parts.method == Method::HEAD,
            stays: head.stays && head.framing.is_some(),
        };
        let mut answer = pin!(answer(worker, &front.conn, head.parts, head.set, content));
        let response = poll_fn(|cx| {
            front.check(cx)?;
            match answer.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Ok(response)),
                Poll::Pending => front.poll_gone(cx).map(Err),
            }
        });
        let response = response.await?;
        let stays = send(worker, front, response, asked).await?;
        if !stays || !front.is_read() {
            return Ok(());
        }
        front.conn.request_ends(front.has_input());
    }
    Ok(())
}

/// Sends a reply; whether the connection stays.
async fn send(worker: &Worker, mut front: &Front, response: Response<ReplyBody>, asked: Asked) -> Result<bool, Ended> {
    let (head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(tunnel::switch(&head, body, &worker.date()));
    }
    let buffers = worker.pool.buffers();
    let mut out = buffers.take_output();
    let length = body.size_hint().exact();
    let Way { coding, stays } = write::head(&mut out, &head, body.stamp(), length, asked, &worker.date());
    buffers.give_fields(head.headers);
    let mut pump = Pump::new(out, coding);
    let mut body = UntilEnd::new(body, coding);
    let sent = poll_fn(|cx| {
        front.check(cx)?;
        match pump.poll(cx, &mut front, &mut body) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(Unsent::Io(error))) => Poll::Ready(Err(Ended::Io(error))),
            // The client learns of it by the connection's end.
            Poll::Ready(Err(Unsent::Content(_) | Unsent::Length)) => Poll::Ready(Err(Ended::Reply)),
            Poll::Pending => front.poll_gone(cx).map(Err),
        }
    });
    sent.await?;
    buffers.give_output(pump.into_buffer());
    Ok(stays)
}

/// A reply's content, which is let go with its last piece: the request's record is complete before the client has its reply.
struct UntilEnd(Option<ReplyBody>);

impl UntilEnd {
    fn new(body: ReplyBody, coding: Coding) -> UntilEnd {
        UntilEnd(Some(body).filter(|body| coding != Coding::Length(0) && !body.is_end_stream()))
    }
}

impl Body for UntilEnd {
    type Data = Bytes;
    type Error = ReplyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyFault>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(Some(Ok(_))) => body.is_end_stream(),
            Poll::Ready(_) => true,
            Poll::Pending => false,
        };
        if ended {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// Answers what is no request, as the last of the connection.
fn refuse(worker: &Rc<Worker>, front: &Front, fault: HeadFault) {
    let failure = Failure::from(fault);
    let status = failure.rescue().status;
    let trace = Exchange::unreadable(worker, &front.conn, status, failure.to_string()).trace;
    let text = reply::text(&failure.rescue(), trace);
    let date = worker.date();
    let date = String::from_utf8_lossy(&date);
    front.say(
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {}\r\n{}: {trace}\r\ndate: {date}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{text}",
            reply::TEXT,
            crate::fields::TRACE,
            text.len(),
        )
        .as_bytes(),
    );
    front.conn.linger.set(true);
}
