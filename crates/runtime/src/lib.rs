//! One instance: its init process, its pipes, its secrets.
//!
//! ```text
//! node ── unix socket ──> forebay init ── pipes ──> the application (own session and process group)
//! ```
//!
//! The node spawns `forebay init` ([`init::main`]), which leaves the node's session at once: a node that dies or gets
//! Ctrl-C takes no instance with it. Init runs the application, cuts its output into numbered lines, keeps them until
//! a node has said that they are safe, and tells how it ended. A restarted node finds it again by its [`Ticket`].
//!
//! - The way in: [`start`] and [`adopt`] give an [`Instance`]: a ticket to store, events to read, a [`Control`].
//! - The way of a line: [`init`]'s poll loop → `cutter` → `spool` → `protocol` → the node's `link` → [`Event::Output`].
//! - What is said on the socket is written down in `docs/formats/init.md`.

mod cgroup;
mod cutter;
mod exit;
mod ignored;
pub mod init;
mod isolation;
mod node;
mod nofile;
mod output;
pub mod procs;
mod protocol;
mod spec;
mod spool;
mod ticket;

pub use exit::{End, Ended, Exit};
pub use ignored::ignore_until_handled;
pub use isolation::Isolation;
pub use node::{
    AdoptError, Control, Event, Instance, Orphan, StartError, Unclaimed, adopt, adopt_at, put_down, put_down_at, start,
};
pub use nofile::{NofileError, raise_nofile, restore_nofile};
pub use output::{Dropped, Line, Output, Stream};
pub use protocol::{Failure, LinkError, Stage, StoreState};
pub use spec::{Cgroups, Limits, Spec, SpecError};
pub use ticket::Ticket;
