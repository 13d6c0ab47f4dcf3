//! HTTP/1.1 towards endpoints (RFC 9112), written for the router: one exchange at a time on one connection, in the task of
//! the request itself.
//!
//! hyper's client runs every connection in a task of its own and carries each request there and back through two
//! channels, and it takes the head of a request for good, so that one that may be repeated has to be copied first. Both
//! together cost more than parsing. Here a head is written from where it stands, a reply is read in the request's task,
//! and a given-up try is a dropped value.
//!
//! `request` writes heads, `head` reads them and decides the framing, `chunks` reads the chunked coding, `pump` sends
//! content, `link` is the connection, `reply` its reply's content. All but `pump`, `link` and `reply` are pure.

mod chunks;
mod head;
mod link;
mod pump;
mod reply;
mod request;

pub(crate) use head::HeadFault;
pub(crate) use link::{Asked, Buffers, Fault, Link};
pub(crate) use reply::ReplyContent;
pub(crate) use request::write_number;
