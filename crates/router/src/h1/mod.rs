//! HTTP/1.1 (RFC 9112), written for the router, towards endpoints and, in `front`, towards clients: one exchange at a time on
//! one connection, in the task of the request itself.
//!
//! hyper's client runs every connection in a task of its own and carries each request there and back through two
//! channels, and it takes the head of a request for good, so that one that may be repeated has to be copied first. Both
//! together cost more than parsing. Here a head is written from where it stands, a reply is read in the request's task,
//! and a given-up try is a dropped value.
//!
//! For both sides: `rest` and `chunks` read content, `line` is a connection in use, `pump` sends a message, `buffers` is
//! what they read and write with. Towards endpoints: `request` writes heads, `head` reads them and decides the framing,
//! `link` is the connection, `reply` its reply's content. All but `line`, `link`, `pump` and `reply` are pure.

mod buffers;
mod chunks;
pub(crate) mod front;
mod head;
mod line;
mod link;
mod pump;
mod reply;
mod request;
mod rest;

pub(crate) use buffers::Buffers;
pub(crate) use head::HeadFault;
pub(crate) use link::{Asked, Fault, Link};
pub(crate) use reply::ReplyContent;
pub(crate) use request::write_number;
