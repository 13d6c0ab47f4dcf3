//! Ids of jobs, one after the other.

use crate::names::JobId;

/// Some ids, as bytes or as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ids<'a> {
    List(&'a [JobId]),
    Raw(&'a [u8]),
}

impl Ids<'_> {
    /// The ids.
    pub(crate) fn to_vec(&self) -> Vec<JobId> {
        match self {
            Ids::List(list) => list.to_vec(),
            Ids::Raw(raw) => {
                let (words, _) = raw.as_chunks::<8>();
                words.iter().map(|word| JobId(u64::from_le_bytes(*word))).collect()
            }
        }
    }
}
