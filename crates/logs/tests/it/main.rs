//! The log plane as the node uses it.

mod admin;
mod drops;
mod failures;
mod fixture;
mod full;
mod power;
mod queries;
mod retention;
mod rig;
mod starts;
mod stored;
mod tails;
