//! When a fragment is too late.

use super::{FragmentId, Page, State, Why};

impl Page {
    /// Drops the fragments whose time is over.
    pub fn expire(&mut self, now: u64) {
        while let Some((deadline, id, ready)) = self.next_late().filter(|(deadline, ..)| *deadline <= now) {
            let over = Some((ready.unwrap_or(deadline), ready.is_some()));
            self.fragments[id.0].late = over;
            self.give_up(id, Why::Stale, now);
            self.settle(now);
        }
    }

    /// When [`Page::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.next_late().map(|(deadline, ..)| deadline)
    }

    /// The fragment whose time is over first: when, which, and since when the rest of its page is ready if that is why.
    fn next_late(&self) -> Option<(u64, FragmentId, Option<u64>)> {
        let pending = || self.fragments.iter().enumerate().filter(|(_, one)| matches!(one.state, State::Pending));
        // The page is ready for its last fragment once all others are there. A page that is nothing but one fragment
        // waits for it as long as for any.
        let is_last = pending().count() == 1 && self.fragments.len() > 1;
        let ready = self.template.map(|template| template.max(self.arrival)).filter(|_| is_last);
        let late = pending().map(|(at, fragment)| {
            let longest = fragment.started.saturating_add(self.limits.wait_ms_max);
            let maxwait = fragment.include.maxwait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            let least = fragment.started.saturating_add(self.limits.wait_ms_min);
            let (deadline, ready) = match (maxwait, ready) {
                (Some(maxwait), _) => (fragment.started.saturating_add(maxwait), None),
                (None, Some(ready)) if least.max(ready + self.limits.grace_ms) < longest => {
                    (least.max(ready + self.limits.grace_ms), Some(ready))
                }
                (None, _) => (longest, None),
            };
            (deadline, FragmentId(at), ready)
        });
        late.min()
    }
}
