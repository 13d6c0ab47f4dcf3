//! Edge Side Includes (ESI 1.0, W3C note of 2001): pages with holes, and the fragments that fill them.
//!
//! [`Parser`] reads a page as it arrives and makes [`Node`]s of it; [`Page`] puts page and fragments together: it says which
//! fragments to fetch, all at once, takes them in whatever order they come, gives out what can be sent, and decides with
//! `now` when a fragment is too late. Neither does any I/O. See this crate's README for how a proxy drives them.

mod expression;
mod lexer;
mod page;
mod parser;
mod tag;
mod vars;

pub use page::{Failure, Fetch, FragmentId, Late, Page, Record, Why};
pub use parser::{Include, Node, Parser};
pub use vars::{NoVars, Vars};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The bounds of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fragments within fragments.
    pub depth_max: u8,
    /// Fragments of a page, with those within fragments.
    pub fragments_max: usize,
    /// Elements within elements.
    pub nesting_max: usize,
    /// A longer tag is text.
    pub tag_bytes_max: usize,
    /// Bytes that wait to be sent; what comes beyond is dropped, with a record.
    pub bytes_max: usize,
    /// Without `maxwait`, no fragment is waited for longer than this.
    pub wait_ms_max: u64,
    /// No fragment without `maxwait` is dropped sooner than this after its start.
    pub wait_ms_min: u64,
    /// The last fragment may be so much slower than the rest of its page.
    pub grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth_max: 3,
            fragments_max: 64,
            nesting_max: 16,
            tag_bytes_max: 8192,
            bytes_max: 8 << 20,
            wait_ms_max: 1000,
            wait_ms_min: 30,
            grace_ms: 10,
        }
    }
}
