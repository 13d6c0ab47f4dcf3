//! What a power cut keeps of the changes that were not synced.

use std::collections::BTreeMap;

use stdx::rng::Rng;

/// A rule, drawn anew for each file and for the names, that says which of `changes` numbered changes reach the disk.
pub(super) enum Loss {
    None,
    All,
    /// Those before `whole`; of the one at `whole`, any of its sectors.
    Prefix {
        whole: usize,
    },
    /// Per sector the changes before a random one: a sector always holds what it held at some time.
    AnySectors {
        changes: usize,
        kept: BTreeMap<usize, usize>,
    },
}

impl Loss {
    pub(super) fn draw(rng: &mut Rng, changes: usize) -> Loss {
        match rng.u8(0..6) {
            0 => Loss::None,
            1 => Loss::All,
            2 | 3 => Loss::Prefix { whole: rng.usize(0..=changes) },
            _ => Loss::AnySectors { changes, kept: BTreeMap::new() },
        }
    }

    /// Whether the part of change number `change` in `sector` is kept.
    pub(super) fn keeps(&mut self, rng: &mut Rng, change: usize, sector: usize) -> bool {
        match self {
            Loss::None => false,
            Loss::All => true,
            Loss::Prefix { whole } => change < *whole || (change == *whole && rng.bool()),
            Loss::AnySectors { changes, kept } => {
                let changes = *changes;
                change < *kept.entry(sector).or_insert_with(|| rng.usize(0..=changes))
            }
        }
    }

    /// How many of the changes the file's length has seen.
    pub(super) fn lengths(&self, rng: &mut Rng, changes: usize) -> usize {
        match self {
            Loss::None => 0,
            Loss::All => changes,
            Loss::Prefix { whole } => (*whole + usize::from(rng.bool())).min(changes),
            Loss::AnySectors { .. } => rng.usize(0..=changes),
        }
    }
}
