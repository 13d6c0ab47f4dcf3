//! One request to an endpoint on a connection that others use too.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::Body;

use super::reply::ReplyContent;
use super::trunk::{Trunk, into_io};
use crate::body::ClientBody;
use crate::h1::{Asked, Fault};
use crate::hop::Hop;

impl Trunk {
    /// Sends a request and reads the head of its reply. What the endpoint has not taken of `content` by then goes on with
    /// the reply; `content` is left to the caller only when there is none. Dropped in its middle it takes the request back.
    ///
    /// # Errors
    /// Why there is no reply, and whether the endpoint can know of the request.
    pub(crate) async fn ask(
        self,
        head: &Parts,
        hop: Hop<'_>,
        content: &mut ClientBody,
    ) -> Result<Response<ReplyContent>, Asked> {
        let Trunk { mut sender, load, secure } = self;
        let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
        let seat = load.seat();
        let unsent = |error| Asked { fault: fault(error), unsent: true };
        poll_fn(|cx| sender.poll_ready(cx)).await.map_err(unsent)?;
        let (mut reply, sending) = {
            let is_empty = matches!(content, ClientBody::Empty);
            let (reply, sending) =
                sender.send_request(request(scheme, head, hop, content), is_empty).map_err(unsent)?;
            (reply, (!is_empty).then_some(sending))
        };
        drop(sender);
        let mut upload = sending.map(Upload::new);
        // Content of which nothing was taken can be given to another.
        let mut began = false;
        let reply = poll_fn(|cx| {
            if let Some(some) = &mut upload {
                let polled = some.poll(cx, content);
                began |= some.began;
                match polled {
                    Poll::Ready(Ok(())) => upload = None,
                    Poll::Ready(Err(Unsent::Content(fault))) => {
                        return Poll::Ready(Err(Asked { fault, unsent: false }));
                    }
                    // An endpoint may answer a request that it has not read: its reply counts then.
                    Poll::Ready(Err(Unsent::Refused)) | Poll::Pending => {}
                }
            }
            Pin::new(&mut reply)
                .poll(cx)
                .map_err(|error| Asked { unsent: is_unseen(&error) && !began, fault: fault(error) })
        });
        let (head, stream) = reply.await?.into_parts();
        let upload = upload.map(|upload| Box::new((upload, std::mem::replace(content, ClientBody::Empty))));
        let content = ReplyContent::new(stream, &head.headers, upload, seat);
        Ok(Response::from_parts(head, content))
    }
}

/// Whether the endpoint says that it has not looked at the request (RFC 9113, 6.8 and 8.7).
fn is_unseen(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (refused || (error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)))
}

/// Why there is no reply.
pub(super) fn fault(error: h2::Error) -> Fault {
    match error.reason() {
        None => Fault::Io(into_io(error)),
        Some(Reason::NO_ERROR) => Fault::Closed,
        Some(reason) => Fault::Reset(reason),
    }
}

/// A request as HTTP/2 has it: its host is its authority, and nothing else names it.
fn request(scheme: Scheme, head: &Parts, hop: Hop<'_>, content: &ClientBody) -> Request<()> {
    let mut headers = head.headers.clone();
    headers.remove(header::CONTENT_LENGTH);
    let host = headers.remove(header::HOST);
    // Its connections stay what they are.
    add(&mut headers, Hop { upgrades: false, ..hop }, &head.headers);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if let (Some(length), false) = (content.size_hint().exact(), matches!(content, ClientBody::Empty)) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut target = http::uri::Parts::default();
    target.scheme = Some(scheme);
    // The gate has let it in as a host, which is an authority.
    target.authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    target.path_and_query = head.uri.path_and_query().cloned();
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(target).unwrap_or_else(|_| head.uri.clone());
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Adds what this hop says, which is written as lines, to a list of fields.
fn add(headers: &mut HeaderMap, hop: Hop<'_>, of: &HeaderMap) {
    let mut lines = Vec::new();
    hop.write(&mut lines, of);
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
}

/// Why content did not go out.
#[derive(Debug)]
pub(super) enum Unsent {
    Content(Fault),
    /// The endpoint wants no more of it.
    Refused,
}

impl From<h2::Error> for Unsent {
    fn from(_: h2::Error) -> Unsent {
        Unsent::Refused
    }
}

/// A request's content on its way.
#[derive(Debug)]
pub(super) struct Upload {
    sending: SendStream<Bytes>,
    data: Bytes,
    /// Nothing comes behind `data`.
    last: bool,
    /// A piece of it was taken.
    began: bool,
}

impl Upload {
    fn new(sending: SendStream<Bytes>) -> Upload {
        Upload { sending, data: Bytes::new(), last: false, began: false }
    }

    /// Sends what can be sent; ready when all is sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, content: &mut ClientBody) -> Poll<Result<(), Unsent>> {
        loop {
            while !self.data.is_empty() {
                let room = ready!(self.poll_room(cx))?;
                let piece = self.data.split_to(room.min(self.data.len()));
                let ends = self.last && self.data.is_empty();
                self.sending.send_data(piece, ends)?;
                if ends {
                    return Poll::Ready(Ok(()));
                }
            }
            let frame = match ready!(Pin::new(&mut *content).poll_frame(cx)) {
                None => return Poll::Ready(Ok(self.sending.send_data(Bytes::new(), true)?)),
                Some(Err(fault)) => {
                    self.sending.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Unsent::Content(Fault::Content(fault))));
                }
                Some(Ok(frame)) => frame,
            };
            self.began = true;
            match frame.into_data() {
                Ok(data) => (self.data, self.last) = (data, content.is_end_stream()),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(Ok(self.sending.send_trailers(trailers)?));
                }
            }
            if self.data.is_empty() && self.last {
                return Poll::Ready(Ok(self.sending.send_data(Bytes::new(), true)?));
            }
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Unsent>> {
        self.sending.reserve_capacity(self.data.len());
        while self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Unsent::Refused)),
            }
        }
        Poll::Ready(Ok(self.sending.capacity()))
    }
}
