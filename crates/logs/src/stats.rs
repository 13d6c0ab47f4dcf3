//! Numbers about the plane.

use stdx::clock::Wall;

/// How the plane stands. Counts are since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records stored, reports of drops among them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records that were offered and dropped.
    pub dropped: u64,
    /// Records whose sender was refused; it has them still.
    pub refused: u64,
    /// Records not stored because they had been before (`origin_seq`).
    pub repeated: u64,
    /// Commits to disk.
    pub commits: u64,
    /// Bytes that wait for the disk now.
    pub pending_bytes: u64,
    /// Segments now.
    pub segments: u64,
    /// Bytes on disk now.
    pub disk_bytes: u64,
    /// The oldest record's time.
    pub oldest: Option<Wall>,
    /// The disk is full: nothing is taken until there is space.
    pub is_full: bool,
    /// Stretches of the log that were found damaged when it was opened.
    pub damaged: u64,
    /// Queries that run now.
    pub queries: u16,
    /// Tails that run now.
    pub tails: u16,
}
