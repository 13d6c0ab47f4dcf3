//! One connection to an endpoint, and one exchange on it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use http::Response;
use http::request::Parts;
use net::stream::Stream;
use tokio::net::TcpStream;

use super::buffers::Buffers;
use super::head::{self, Head, HeadFault};
use super::line::{Line, READ_BYTES};
use super::pump::{Pump, Unsent};
use super::reply::ReplyContent;
use super::request::{self, Framing};
use crate::body::{ClientBody, ContentFault};
use crate::hop::Hop;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Content(ContentFault),
    #[error("the reply is malformed: {0}")]
    Head(#[from] HeadFault),
    #[error("the connection broke: {0}")]
    Io(io::Error),
    #[error("the endpoint closed the connection")]
    Closed,
    /// In HTTP/2.
    #[error("the endpoint took the reply back: {0}")]
    Reset(h2::Reason),
}

/// How an exchange went that brought no reply.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fault: Fault,
    /// Not one byte of the request left: the endpoint cannot know of it.
    pub(crate) unsent: bool,
}

/// An open connection that nobody uses.
#[derive(Debug)]
pub(crate) struct Link(Stream);

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn open(addr: SocketAddr) -> io::Result<Link> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Link(Stream::Plain(stream)))
    }

    /// A connection that was made otherwise.
    pub(crate) fn on(stream: Stream) -> Link {
        Link(stream)
    }

    /// The connection of an exchange that is whole.
    pub(super) fn of(line: Line, buffers: &Buffers) -> Link {
        buffers.give_input(line.input);
        Link(line.stream)
    }

    /// Whether nothing has come from the endpoint since the last exchange: neither the connection's end nor bytes that
    /// nobody asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.0.is_quiet()
    }

    /// Sends a request and reads the head of its reply. What the endpoint has not taken of `content` by then goes on with
    /// the reply; `content` is left to the caller only when there is none. Dropped in its middle it closes the connection.
    ///
    /// # Errors
    /// Why there is no reply, and whether the endpoint can know of the request.
    pub(crate) async fn ask(
        self,
        head: &Parts,
        hop: Hop<'_>,
        content: &mut ClientBody,
        buffers: &Buffers,
    ) -> Result<Response<ReplyContent>, Asked> {
        let mut line = Line { stream: self.0, input: buffers.take_input() };
        let mut front = buffers.take_output();
        let coding = request::write_head(&mut front, head, hop, Framing::of(content));
        let mut pump = Pump::new(front, coding);
        let mut sent = false;
        let expected = head::Asked { method: &head.method, upgrades: hop.upgrades };
        let read = poll_fn(|cx| poll_head(&mut line, cx, expected, buffers, &mut pump, content, &mut sent)).await;
        let Head { status, fields, framing, stays } = match read {
            Ok(head) => head,
            Err(fault) => return Err(Asked { fault, unsent: !pump.began() }),
        };
        let upload = if sent {
            buffers.give_output(pump.into_buffer());
            None
        } else {
            Some(Box::new((pump, std::mem::replace(content, ClientBody::Empty))))
        };
        let mut response = Response::new(ReplyContent::new(line, framing, stays, upload));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        Ok(response)
    }
}

fn poll_head(
    line: &mut Line,
    cx: &mut Context<'_>,
    expected: head::Asked<'_>,
    buffers: &Buffers,
    pump: &mut Pump,
    content: &mut ClientBody,
    sent: &mut bool,
) -> Poll<Result<Head, Fault>> {
    let mut broken = None;
    if !*sent {
        match pump.poll(cx, &mut line.stream, content) {
            Poll::Ready(Ok(())) => *sent = true,
            Poll::Ready(Err(Unsent::Io(error))) if pump.began() => broken = Some(error),
            Poll::Ready(Err(Unsent::Io(error))) => return Poll::Ready(Err(Fault::Io(error))),
            Poll::Ready(Err(Unsent::Content(fault))) => return Poll::Ready(Err(Fault::Content(fault))),
            Poll::Ready(Err(Unsent::Length)) => return Poll::Ready(Err(Fault::Content(ContentFault::Broken))),
            Poll::Pending => {}
        }
    }
    loop {
        if let Some(head) = head::take(&mut line.input, expected, buffers)? {
            return Poll::Ready(Ok(head));
        }
        let polled = line.poll_fill(cx, READ_BYTES);
        // An endpoint may refuse a request that it has not read, and close: its reply counts then.
        if let (Poll::Pending, Some(error)) = (&polled, broken.take()) {
            return Poll::Ready(Err(Fault::Io(error)));
        }
        if ready!(polled).map_err(Fault::Io)? == 0 {
            return Poll::Ready(Err(Fault::Closed));
        }
    }
}
