//! What many jobs with neighbouring ids have in common, written once for all of them.

use super::TubeIx;

/// So many may be written down in a chunk before those that no job has any more are dropped; more than it has rows.
const TERMS_MAX: usize = 1_024;

/// One job's share of what repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) pri: u32,
    pub(super) ttr_s: u32,
    pub(super) tube: TubeIx,
}

/// Those of one chunk, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct TermsTable(Vec<Terms>);

impl TermsTable {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn of(&self, place: u16) -> Terms {
        self.0[usize::from(place)]
    }

    /// Where the terms stand; `None` when they are new and there is no room: then [`TermsTable::renew`] comes first. What
    /// was written last is looked at first.
    pub(super) fn place(&mut self, terms: Terms) -> Option<u16> {
        let at = match self.0.iter().rposition(|known| *known == terms) {
            Some(at) => at,
            None if self.0.len() >= TERMS_MAX => return None,
            None => {
                self.0.push(terms);
                self.0.len() - 1
            }
        };
        u16::try_from(at).ok()
    }

    /// Keeps only those whose places are given, and gives them new places.
    pub(super) fn renew<'a>(&mut self, places: impl Iterator<Item = &'a mut [u8; 2]>) {
        let before = std::mem::take(self);
        for place in places {
            let terms = before.of(u16::from_le_bytes(*place));
            let now = self.place(terms).expect("a chunk has fewer rows than there is room");
            *place = now.to_le_bytes();
        }
    }
}
