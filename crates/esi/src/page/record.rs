//! What somebody should know of a page that is not as it should be.

use std::fmt;

/// Why a fragment could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request failed or was answered with an error.
    Failed,
    /// No route names its host.
    Refused,
}

/// What became of a fragment that is not in the page as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The fragment's `src`.
    pub src: String,
    /// What happened; its `Display` is the text of a log record.
    pub why: Why,
}

/// The reasons of a [`Record`], with their times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rest of the page was sent without it; it came so much later.
    Slower(u64),
    /// It came so much later than its `maxwait`, or the longest wait of all, allowed.
    Over(u64),
    /// A stale copy stands in.
    Stale,
    /// It could not be had, nor its `alt`.
    Missing(Failure),
    /// The page has too many fragments, within each other or in all.
    TooMany,
    /// The page grew over its bound here, and the rest of this text is missing.
    TooLong,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Slower(ms) => write!(f, "fragment dropped: {ms} ms slower than its page"),
            Why::Over(ms) => write!(f, "fragment dropped: {ms} ms over its longest wait"),
            Why::Stale => write!(f, "fragment stale: its page did not wait for a new one"),
            Why::Missing(Failure::Failed) => write!(f, "fragment dropped: it could not be fetched"),
            Why::Missing(Failure::Refused) => write!(f, "fragment dropped: no route names its host"),
            Why::TooMany => write!(f, "fragment dropped: the page has too many"),
            Why::TooLong => write!(f, "page cut: it is longer than is kept"),
        }
    }
}
