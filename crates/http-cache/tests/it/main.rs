//! The cache's decisions, section by section of the RFCs.

mod bench;
mod conditions;
mod fetching;
mod freshness;
mod invalidation;
mod parsing;
mod ranges;
mod requests;
mod stale;
mod store;
mod storing;
mod updating;
mod wording;
