//! The append-only, checksummed log with group commit, over the disk seam. One per plane: the queue has one for all its
//! tubes, the log store one for all its records.
//!
//! # What it is for
//!
//! - What is acknowledged is on disk, whatever happens next: power loss, a full disk, a failing device, a killed process.
//! - One sync serves everything that came while the sync before it was in flight. There is no timer and no fixed wait: a
//!   lone record is written at once, and under load batches grow by themselves.
//! - A start tells a torn end, which was never acknowledged, from damage to what was. The former is cut; the latter is
//!   reported and costs no more than the records that it hit.
//! - The owner's thread does no I/O. All limits are the owner's ([`Config`]), and all of it runs on a fake disk.
//!
//! It is no database: there is no index, no update and no transaction. A record belongs to its owner, who knows its
//! [`Position`] from the moment it is appended. Nothing here is replicated, compressed or encrypted.
//!
//! # On disk
//!
//! A folder of segments, `00000000000000000001.wal` and so on, and perhaps a `reserve`, a `*.wal.new` that a crash left,
//! and `*.wal.damaged` that are kept for whoever looks into a damage. All numbers are little-endian.
//!
//! ```text
//! segment    0  header                                 4096  the same header again         4160  batches, end to end
//!
//! header     0  magic "FBAYWAL\n"                        32  number u64
//! 64 bytes   8  format version u32                       40  LSN of the first record u64
//!           12  chain: CRC of the batch before u32       48  floor: oldest segment of the log u64
//!           16  uuid of the log, 16 bytes                56  where the segment before ends u32
//!                                                        60  CRC32C of bytes 0..60
//!
//! batch      0  magic FB 42 41 1A                        24  floor u64
//! 40 bytes   4  length of the body u32                   32  CRC32C of place, bytes 0..32 and the body
//!            8  count of records u32                     36  CRC32C of place and bytes 0..36
//!           12  chain: CRC (at 32) of the batch before u32
//!           16  LSN of the first record u64              40  records, end to end
//!
//! record     0  length of the payload u32                16  kind u8
//! 17 bytes   4  CRC32C of place, 0..4 and 8..            17  payload
//!            8  LSN u64
//! ```
//!
//! *Place* is the log's uuid, the segment's number and the offset in the file. So bytes are valid only where they were
//! written: a misdirected read, a copied file or a log inside of a payload never passes for a record. The *chain* ties each
//! batch to the one before, across segments: what is missing is missed. A record never spans batches, a batch never
//! spans segments; a record longer than a batch's limit is a batch of its own, up to the segment's limit.
//!
//! Payloads are the owner's. For the optional part of one there is [`attr`]: attributes that an older reader skips.
//!
//! # Operation
//!
//! [`Writer::append`] lays the record out in the batch that is forming, and decides where batches and segments end.
//! [`Writer::take_batch`] closes that batch; the owner hands it to the [`CommitThread`] as soon as the thread is idle.
//! [`Committer::commit`] seals it (chain, checksums), writes it with one call and syncs it with one. The first batch of a
//! segment goes with the header into `*.wal.new`, which is synced, renamed, and the folder synced, all before the batch is
//! acknowledged: a segment that has its name has its header and its first batch.
//!
//! **Removal.** [`Writer::remove_segments_below`] sets the *floor*, which travels in the header of the last pending batch.
//! Once that batch is synced, the files below go. A crash may leave any of them; the next open reads the floor before it
//! delivers the first record, so a put whose delete is already unlinked does not come back, and finishes the removal.
//!
//! **Failure.** A write or sync that fails, and any other call but those below, poisons the log: the first cause answers
//! every later append and commit, no sync is ever repeated, and only [`open`] tells what is on disk. A disk that is full
//! when bytes are *written* is different, as nothing was synced with them: [`CommitError::DiskFull`] gives the batch back,
//! and the same batch goes to the same place later. With [`Config::reserve_bytes`] the log has that much allocated behind
//! the end of its segment, and as much again in a file that becomes the next one: it writes on where everybody else finds
//! the disk full, says so in [`Committed::reserve`], and its owner then takes nothing but what frees space. A full disk
//! that shows itself only in a *sync* poisons.
//!
//! # What each crash leaves
//!
//! | the crash comes | on disk | the next open |
//! |---|---|---|
//! | while a batch is written or synced | any of its sectors | delivers it if it is whole, else cuts it; it was not acknowledged |
//! | before a new segment has its name | a `*.wal.new` | unlinks it |
//! | after the rename, before the folder's sync | either name | as one of the two above |
//! | between two unlinks of removed segments | any of them | unlinks the rest, delivers none of their records |
//! | after a failed sync, the machine running on | the batch in the page cache only | delivers it, having written and synced it anew |
//! | while [`open`] cuts, rewrites or unlinks | some of it done | does it again |
//! | after a cut that did not reach the disk | old bytes behind the end | overwrites them; a later segment's header says where this one ended |
//!
//! Recovery goes through the segments from the floor on. A batch is taken if header and body are whole, and chain and LSN
//! are those expected. If not, the rest of the segment is searched for a whole batch that is not older. *One is found, or
//! there is a later segment*: the stretch is damage. It is reported with its offsets, the records in it that are whole by
//! themselves are delivered, and the LSNs of the others are reported as lost. *Nothing follows*: it is the torn end, and
//! is cut. A last batch that was acknowledged and then rotted looks the same and is cut too; [`Report::torn`] says how much.
//! What the device cannot read counts as damage, 4 KiB at a time, and a stretch with such a block in it is never cut.
//! Damaged segments stay, are reported at each open, take no more records, and are renamed to `*.wal.damaged` when removed.
//!
//! # Not here on purpose
//!
//! Preallocated segments (nothing gained where measured, and zeros to tell from data), memory maps (an I/O error would be
//! a signal), a timer (see above), and a repair that drops damaged records: they are dropped by whoever removes the segment.

pub mod attr;
mod batch;
mod committer;
mod config;
mod error;
mod files;
mod format;
mod names;
mod open;
mod reader;
mod recover;
mod report;
mod reserve;
mod shared;
mod survey;
mod thread;
mod types;
mod walk;
mod window;
mod writer;

pub use batch::Batch;
pub use committer::{Committed, Committer};
pub use config::Config;
pub use error::{AppendError, CommitError, DiskError, OpenError, Poison, ReadError};
pub use format::VERSION;
pub use open::{Opened, inspect, open, open_after};
pub use reader::{Reader, Scanned};
pub use report::{Damage, DamageKind, Report, Torn};
pub use reserve::Reserve;
pub use thread::{CommitThread, SubmitError};
pub use types::{Found, Lsn, LsnRange, Position, Progress, Resume, Segment};
pub use writer::Writer;
