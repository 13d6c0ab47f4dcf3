//! HTTP/2 (RFC 9113): the frames are the `h2` crate's, which refuses what breaks their rules; what is decided about a
//! request is [`answer`](crate::answer)'s, as with HTTP/1.1.
//!
//! Towards clients: `guard` stands below the library and counts what a client makes it do, by `walk` (where frames begin)
//! and `ledger` (what they cost). `session` is a connection, `stream` one request on it, `content` a request's content,
//! `head` turns heads from one version into the other, `grpc` says refusals in gRPC's words. Towards endpoints: `trunk` is a
//! connection that many requests share, `ask` one request on it, `reply` its reply's content. `walk`, `ledger`, `head` and
//! `grpc` are pure.

mod ask;
mod content;
mod grpc;
mod guard;
mod head;
mod ledger;
mod reply;
mod session;
mod stream;
mod trunk;
mod walk;

pub(crate) use content::Content;
pub(crate) use reply::ReplyContent;
pub(crate) use session::{begins, serve};
pub(crate) use trunk::{Trunk, Trunks};
