//! When a fragment is too late.

use super::{FragmentId, Page, State, Why};

/// A fragment whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// Which one.
    pub id: FragmentId,
    /// Its `src`.
    pub src: String,
    /// Since when.
    pub since: u64,
    /// Because the rest of the page was ready.
    pub by_page: bool,
}

impl Page {
    /// Drops the fragments whose time is over.
    pub fn expire(&mut self, now: u64) {
        while let Some(late) = self.overdue(now) {
            self.give_up_late(&late, now);
        }
    }

    /// The fragment whose time is over first. A stale copy of it can be offered before it is dropped.
    #[must_use]
    pub fn overdue(&self, now: u64) -> Option<Late> {
        let (deadline, id, ready) = self.next_late().filter(|(deadline, ..)| *deadline <= now)?;
        let src = self.fragments[id.0].include.src.clone();
        Some(Late { id, src, since: ready.unwrap_or(deadline), by_page: ready.is_some() })
    }

    /// Drops one fragment whose time is over; whether nothing stands in its place.
    pub fn give_up_late(&mut self, late: &Late, now: u64) -> bool {
        let id = late.id;
        self.fragments[id.0].late = Some((late.since, late.by_page));
        self.give_up(id, Why::Stale, now);
        let is_out = matches!(self.fragments[id.0].state, State::Failed | State::Empty);
        self.settle(now);
        is_out
    }

    /// Whether a fragment is still waited for.
    #[must_use]
    pub fn awaits(&self, id: FragmentId) -> bool {
        self.fragments.get(id.0).is_some_and(|fragment| matches!(fragment.state, State::Pending))
    }

    /// Bytes that wait: to be sent, or as what may stand in for something. Never more than [`Limits::bytes_max`]; none while
    /// no fragment is waited for and all that could be sent was.
    ///
    /// [`Limits::bytes_max`]: crate::Limits::bytes_max
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
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
                (None, Some(ready)) if least.max(ready.saturating_add(self.limits.grace_ms)) < longest => {
                    (least.max(ready.saturating_add(self.limits.grace_ms)), Some(ready))
                }
                (None, _) => (longest, None),
            };
            (deadline, FragmentId(at), ready)
        });
        late.min()
    }
}
