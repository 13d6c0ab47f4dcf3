//! The way back into memory.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::HeaderMap;
use http_cache::{Decision, Inserted, Key};

use super::tier::Held;
use crate::cache::asking::Asking;
use crate::cache::driven::Cache;

/// How long a request waits for the disk before it asks the application: longer than a healthy disk takes under load, shorter
/// than anybody minds.
const READ_TIME: Duration = Duration::from_millis(250);

/// Whether the disk may know more than memory did.
pub(in crate::cache) fn may_help(decision: &Decision) -> bool {
    use http_cache::{Bypass, Forward};
    match decision {
        Decision::Fresh(_) | Decision::StaleWhileRevalidate(..) => false,
        Decision::Miss(why) | Decision::Revalidate(_, why) => !matches!(why, Forward::Stale | Forward::Request),
        Decision::OnlyIfCached => true,
        Decision::Bypass(why) => matches!(why, Bypass::Precondition),
    }
}

impl Cache {
    /// Brings what the disk has for a request into memory; whether it did.
    pub(in crate::cache) async fn promote(&self, asking: &Asking, headers: &HeaderMap, key: &Key) -> bool {
        let Some(tier) = self.disk() else { return false };
        let view = asking.view(headers);
        if self.lock().store.get(key).iter().any(|entry| asking.policy.selects(&view, entry.stored())) {
            return false;
        }
        let asked = tier.ask(key, |outline| asking.policy.selects_outline(&view, outline));
        let Some((seq, mut told)) = asked else { return false };
        let Ok(told) = tokio::time::timeout(READ_TIME, told.wait_for(Option::is_some)).await else {
            tier.slow();
            return false;
        };
        // A thread that was lost tells nothing.
        let held = told.ok().and_then(|told| told.clone().flatten());
        let kept = held.is_some_and(|held| self.take_back(key, seq, &held));
        if kept {
            tier.figures.hits.fetch_add(1, Relaxed);
        }
        kept
    }

    /// Puts what was read into memory, unless it was forgotten meanwhile; whether memory has it.
    fn take_back(&self, key: &Key, seq: u64, held: &Held) -> bool {
        let Some(tier) = self.disk() else { return false };
        let mut inner = self.lock();
        if !tier.holds(key, seq) {
            return false;
        }
        let loaded = &held.loaded;
        let outline = loaded.stored.outline();
        if inner.store.get(key).iter().any(|entry| outline.is_of(entry.stored())) {
            return true;
        }
        let stored = Arc::new(loaded.stored.clone().no_younger_than(loaded.written, tier.now()));
        let inserted = inner.store.insert(key, stored, loaded.chunks.as_slice().into(), loaded.body_bytes);
        inner.hand_over();
        if inserted == Inserted::TooLarge {
            tier.forget(key);
        }
        inserted != Inserted::TooLarge
    }
}
