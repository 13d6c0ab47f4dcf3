//! HTTP/1.1 towards clients (RFC 9112), written for the router: one connection and all its requests in one task.
//!
//! hyper's server normalises what a proxy must refuse and see, answers malformed heads without a trace, and takes a read
//! buffer anew for each request. Here a head is read once, strictly, from a buffer that the connection holds only while it
//! has something in it; a reply's head is written into a buffer of the worker's and leaves together with its first content.
//!
//! `head` reads requests, `write` writes replies' heads: both pure. `socket` is the connection and what was read of it,
//! `content` a request's content, `session` the way from one request to the next. What is decided about a request knows
//! nothing of all this: [`answer`](crate::answer) takes a head and a content and gives a head and a content. `tunnel`
//! is what a connection becomes when an endpoint switches protocols.

mod content;
mod frames;
mod head;
mod session;
mod socket;
mod tunnel;
mod write;

use super::chunks::Chunks;
use super::rest::Rest;
use crate::gate::Framing;

pub(crate) use content::{Broken, Content};
pub(crate) use head::{HeadFault, HeadLimits};
pub(crate) use session::serve;

/// What is to come behind a head.
fn rest_of(framing: Framing) -> Rest {
    match framing {
        Framing::None => Rest::Nothing,
        Framing::Length(bytes) => Rest::Length(bytes),
        Framing::Chunked => Rest::Chunks(Chunks::new()),
    }
}
