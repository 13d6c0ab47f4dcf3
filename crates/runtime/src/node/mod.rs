//! The node's side: starting an instance, finding it again, hearing it, telling it.

mod adopt;
mod instance;
mod link;
mod start;

pub use adopt::{AdoptError, Orphan, Unclaimed, adopt, adopt_at, put_down, put_down_at};
pub use instance::{Control, Event, Instance};
pub use start::{StartError, start};
