//! What to look for.

mod filter;
mod needle;
mod text;

pub use filter::Filter;
pub use text::SyntaxError;

use stdx::clock::Wall;

/// Which records, in which amount, and whether to go on with those to come.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Not before this time.
    pub since: Option<Wall>,
    /// Before this time.
    pub until: Option<Wall>,
    /// What must hold of them.
    pub filter: Filter,
    /// Only the last so many, up to [`Query::N_MAX`]; all when `None`.
    pub n: Option<u32>,
    /// After those that are there, go on with those that come, until the reader goes away.
    pub follow: bool,
}

impl Query {
    /// The most that [`Query::n`] can ask for; more is cut to it.
    pub const N_MAX: u32 = 100_000;

    /// Says whether a record of this time is meant.
    pub(crate) fn covers(&self, time: Wall) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}
