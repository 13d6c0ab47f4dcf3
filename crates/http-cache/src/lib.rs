//! What a shared HTTP cache decides, without doing any I/O: bytes, header fields and `now` go in, decisions come out.
//!
//! [`Policy`] is RFC 9111 as a machine: [`Policy::on_request`] says whether a stored response answers a request,
//! [`Policy::on_response`] whether a response is stored, [`Policy::on_304`] and [`Policy::on_head`] what an answer from the
//! origin changes in what is stored, [`Policy::on_failure`] whether a stale response may stand in, and
//! [`Policy::invalidates`] what a write makes worthless. Around it: [`Store`], memory with an exact byte limit, and
//! [`FetchTable`], which lets many requests share one fetch that none of them can slow down.
//!
//! The README of this crate shows how a proxy drives them.

mod age;
mod cache_status;
mod conditional;
mod date;
mod directives;
mod etag;
mod fetch;
mod fields;
mod freshness;
mod invalidate;
mod key;
mod options;
mod packed;
mod policy;
mod range;
mod store;
mod stored;
mod storing;
mod tags;
mod targeted;
mod time;
mod updating;
mod vary;

pub use cache_status::{CacheStatus, Forwarded};
pub use conditional::{Conditions, not_modified};
pub use directives::Directives;
pub use fetch::{FetchId, FetchLimits, FetchTable, Join, Leave, Pushed, Read, Shared, WaiterId, Woken};
pub use invalidate::Invalidated;
pub use key::{Key, primary_key};
pub use options::{AgeReading, Heuristic, Options, SetCookie};
pub use packed::Outline;
pub use policy::{Answer, Bypass, Decision, Forward, Hit, Policy, Request, Response};
pub use range::{ByteRange, RANGES_MAX, Ranges, parse_range};
pub use store::{Entry, EntryId, Evicted, Inserted, Store};
pub use stored::Stored;
pub use storing::{Storing, WhyNot};
pub use tags::tags;
pub use targeted::parse_targeted;
pub use time::UnixMs;
pub use updating::{HeadUpdate, Refreshed};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
