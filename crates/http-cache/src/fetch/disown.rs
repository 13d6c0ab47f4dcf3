//! Purges of what is on its way.

use super::{Fetch, FetchId, FetchTable};
use crate::stored::Stored;

impl<W> FetchTable<W> {
    /// What was asked before a purge is not kept after it: of the fetches that `which` says yes to (its response `None` while
    /// there is none) those who wait get their answer, nobody joins them any more, and [`FetchTable::finish`] gives no
    /// chunks. How many.
    pub fn disown(&mut self, which: impl Fn(&str, Option<&Stored>) -> bool) -> usize {
        let is_meant = |fetch: &Fetch<W>| !fetch.disowned && which(&fetch.key, fetch.stored.as_deref());
        let ids: Vec<FetchId> = self.fetches.iter().filter(|(_, fetch)| is_meant(fetch)).map(|(id, _)| *id).collect();
        for id in &ids {
            self.hide(*id);
            if let Some(fetch) = self.fetches.get_mut(id) {
                fetch.disowned = true;
            }
        }
        ids.len()
    }
}
