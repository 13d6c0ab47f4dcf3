//! One connection to an endpoint, and one exchange on it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use http::request::Parts;
use http::{Method, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::head::{self, Head, HeadFault};
use super::pump::Pump;
use super::reply::ReplyContent;
use crate::body::{ClientBody, ContentFault};
use crate::hop::Hop;

/// Bytes that are read at once: what most replies fit in, and what a long content is read by.
const READ_BYTES: usize = 8 << 10;
const READ_BYTES_MAX: usize = 64 << 10;
/// Buffers kept for the next exchanges, and the largest that is kept.
const SPARE_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 16 << 10;

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
}

/// How an exchange went that brought no reply.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fault: Fault,
    /// Not one byte of the request left: the endpoint cannot know of it.
    pub(crate) unsent: bool,
}

/// Buffers that no exchange uses: an idle connection has none.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    inputs: RefCell<Vec<BytesMut>>,
    outputs: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    fn take(&self) -> (BytesMut, Vec<u8>) {
        (self.inputs.borrow_mut().pop().unwrap_or_default(), self.outputs.borrow_mut().pop().unwrap_or_default())
    }

    fn give_input(&self, mut input: BytesMut) {
        let mut spare = self.inputs.borrow_mut();
        if spare.len() < SPARE_MAX && input.capacity() <= SPARE_BYTES_MAX {
            input.clear();
            spare.push(input);
        }
    }

    fn give_output(&self, mut output: Vec<u8>) {
        let mut spare = self.outputs.borrow_mut();
        if spare.len() < SPARE_MAX && output.capacity() <= SPARE_BYTES_MAX {
            output.clear();
            spare.push(output);
        }
    }
}

/// An open connection that nobody uses.
#[derive(Debug)]
pub(crate) struct Link(TcpStream);

/// A connection in use.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) stream: TcpStream,
    pub(super) input: BytesMut,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn open(addr: SocketAddr) -> io::Result<Link> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Link(stream))
    }

    /// Whether nothing has come from the endpoint since the last exchange: neither the connection's end nor bytes that
    /// nobody asked for. Costs no system call.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
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
        let (input, output) = buffers.take();
        let mut line = Line { stream: self.0, input };
        let mut pump = Pump::new(output, head, hop, content);
        let mut sent = false;
        let read = poll_fn(|cx| line.poll_head(cx, &head.method, &mut pump, content, &mut sent)).await;
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

impl Line {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        pump: &mut Pump,
        content: &mut ClientBody,
        sent: &mut bool,
    ) -> Poll<Result<Head, Fault>> {
        let mut broken = None;
        if !*sent {
            match pump.poll(cx, &mut self.stream, content) {
                Poll::Ready(Ok(())) => *sent = true,
                Poll::Ready(Err(Fault::Io(error))) if pump.began() => broken = Some(error),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(head) = head::take(&mut self.input, method)? {
                return Poll::Ready(Ok(head));
            }
            let polled = self.poll_fill(cx, READ_BYTES);
            // An endpoint may refuse a request that it has not read, and close: its reply counts then.
            if let (Poll::Pending, Some(error)) = (&polled, broken.take()) {
                return Poll::Ready(Err(Fault::Io(error)));
            }
            if ready!(polled).map_err(Fault::Io)? == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
        }
    }

    /// Reads more; 0 is the connection's end. `wanted`: how many bytes are still to come, where that is known.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() == self.input.len() || self.input.is_empty() {
            self.input.reserve(wanted.clamp(READ_BYTES, READ_BYTES_MAX));
        }
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    /// The connection, free for another exchange.
    pub(super) fn into_link(self, buffers: &Buffers) -> Link {
        buffers.give_input(self.input);
        Link(self.stream)
    }
}
