//! What the queue writes into its log, and how the log becomes state again.

pub(crate) mod checkpoint;
mod fates;
pub(crate) mod journal;
pub(crate) mod record;
pub(crate) mod replay;
