//! What node and init say to each other; written down in `docs/formats/init.md`.
//!
//! A node may be newer than the inits it finds: both sides greet with the versions they can speak and use the highest
//! common one, unknown kinds of frames are skipped, unknown keys of JSON bodies ignored.

mod frame;
mod greeting;
mod message;

pub use greeting::{Failure, LinkError, Stage};
pub use message::StoreState;

pub(crate) use frame::{Decoder, FRAME_HEAD, frame_len};
pub(crate) use greeting::{InitHello, NodeHello, Refusal, RefusalCode, Report, Welcome, common_version};
pub(crate) use message::{
    FromInit, FromNode, Whom, dropped_frame, exited_frame, last_seq_of_frame, line_frame, line_frame_len,
    written_for_frame,
};

/// The newest version of the protocol that is spoken here.
pub(crate) const VERSION: u16 = 1;
/// The oldest one that is still understood.
pub(crate) const VERSION_MIN: u16 = 1;
/// The largest `message_bytes_max` that can be asked for: a line with its head must fit a frame.
pub(crate) const MESSAGE_BYTES_LIMIT: u32 = 512 << 10;
/// The largest frame that a node takes from an init.
pub(crate) const FRAME_BYTES_MAX_FROM_INIT: usize = 1 << 20;
/// The largest frame that an init takes from a node.
pub(crate) const FRAME_BYTES_MAX_FROM_NODE: usize = 16 << 10;
/// The largest report of a start.
pub(crate) const REPORT_BYTES_MAX: usize = 64 << 10;
