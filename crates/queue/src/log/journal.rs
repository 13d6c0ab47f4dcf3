//! The queue's end of its log: appends records, knows what is durable and how much of each segment still lives.

use std::collections::BTreeMap;

use stdx::clock::Mono;
use wal::{AppendError, Batch, Lsn, Position, Writer};

use super::record::Record;

/// What one segment holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentUse {
    /// Jobs that have their body here, and the bytes of their records.
    pub(crate) live_jobs: u64,
    pub(crate) live_bytes: u64,
    /// Bytes of all records.
    pub(crate) bytes: u64,
}

/// Appends and accounts.
pub(crate) struct Journal {
    writer: Writer,
    scratch: Vec<u8>,
    segments: BTreeMap<u64, SegmentUse>,
    /// The newest record that an answer may depend on.
    newest: Lsn,
    /// The newest record that somebody waits for.
    wanted: Lsn,
    durable: Lsn,
    /// When what was appended up to a record has to be on disk although nobody waits for it.
    due: Option<(Mono, Lsn)>,
    pub(crate) records_written: u64,
    pub(crate) records_moved: u64,
    /// Bytes of all records appended since the start.
    pub(crate) bytes_written: u64,
}

impl Journal {
    pub(crate) fn new(writer: Writer, segments: BTreeMap<u64, SegmentUse>) -> Journal {
        let durable = Lsn(writer.next_lsn().0 - 1);
        Journal {
            writer,
            scratch: Vec::new(),
            segments,
            newest: durable,
            wanted: durable,
            durable,
            due: None,
            records_written: 0,
            records_moved: 0,
            bytes_written: 0,
        }
    }

    /// Appends a record that answers depend on: whoever sees its effect waits for its LSN.
    pub(crate) fn append(&mut self, record: &Record<'_>) -> Result<Lsn, AppendError> {
        let (lsn, _) = self.write(record, &[])?;
        self.newest = lsn;
        Ok(lsn)
    }

    /// Appends a record that may be lost in a crash without breaking a promise, so nobody waits for it by itself.
    pub(crate) fn append_lazily(&mut self, record: &Record<'_>) -> Result<Lsn, AppendError> {
        self.write(record, &[]).map(|(lsn, _)| lsn)
    }

    /// Appends a job with its body, for which nobody waits until [`Journal::depends_on`] says so.
    pub(crate) fn append_job(&mut self, record: &Record<'_>, body: &[u8]) -> Result<(Lsn, Position), AppendError> {
        let (lsn, at) = self.write(record, body)?;
        let used = self.segments.entry(at.segment).or_default();
        used.live_jobs += 1;
        used.live_bytes += u64::from(at.len);
        Ok((lsn, at))
    }

    /// The record at `at` holds nobody's body any more.
    pub(crate) fn let_go(&mut self, at: Position) {
        if let Some(used) = self.segments.get_mut(&at.segment) {
            used.live_jobs -= 1;
            used.live_bytes -= u64::from(at.len);
        }
    }

    /// Answers that tell of the state wait for this record from now on.
    pub(crate) fn depends_on(&mut self, lsn: Lsn) {
        self.newest = self.newest.max(lsn);
    }

    fn write(&mut self, record: &Record<'_>, body: &[u8]) -> Result<(Lsn, Position), AppendError> {
        self.scratch.clear();
        let kind = record.encode(&mut self.scratch);
        let (lsn, at) = self.writer.append(kind, &[&self.scratch, body])?;
        self.segments.entry(at.segment).or_default().bytes += u64::from(at.len);
        self.records_written += 1;
        self.bytes_written += u64::from(at.len);
        Ok((lsn, at))
    }

    /// The newest record that an answer may depend on.
    pub(crate) fn newest(&self) -> Lsn {
        self.newest
    }

    /// The newest record of all.
    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.writer.next_lsn().0 - 1)
    }

    /// Every record up to this one is on disk.
    pub(crate) fn durable(&self) -> Lsn {
        self.durable
    }

    /// Says that somebody waits for `lsn`.
    pub(crate) fn want(&mut self, lsn: Lsn) {
        self.wanted = self.wanted.max(lsn);
    }

    /// What has been appended has to be on disk at that time.
    pub(crate) fn commit_by(&mut self, by: Mono) {
        let last = self.last();
        let by = self.due.map_or(by, |(earlier, _)| earlier.min(by));
        self.due = Some((by, last));
    }

    /// When somebody has to call [`Journal::want_due`].
    pub(crate) fn due(&self) -> Option<Mono> {
        self.due.map(|(by, _)| by)
    }

    /// Asks for what is due.
    pub(crate) fn want_due(&mut self, now: Mono) {
        if let Some((_, lsn)) = self.due.take_if(|(by, _)| *by <= now) {
            self.want(lsn);
        }
    }

    /// Whether somebody waits for a record that is not on disk.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted > self.durable
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.writer.pending_bytes()
    }

    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        self.writer.take_batch()
    }

    /// A batch is on disk.
    pub(crate) fn committed(&mut self, durable: Lsn, buffer: Vec<u8>) {
        self.durable = self.durable.max(durable);
        self.writer.recycle(buffer);
    }

    /// The segment that is being written; older ones change no more.
    pub(crate) fn current_segment(&self) -> u64 {
        self.writer.segment()
    }

    /// The oldest segment that is still needed.
    pub(crate) fn oldest_segment(&self) -> u64 {
        self.segments.first_key_value().map_or(self.writer.segment(), |(&number, _)| number)
    }

    pub(crate) fn segments(&self) -> &BTreeMap<u64, SegmentUse> {
        &self.segments
    }

    /// Whether some job has its body in the segment.
    pub(crate) fn lives_in(&self, segment: u64) -> bool {
        self.segments.get(&segment).is_some_and(|used| used.live_jobs > 0)
    }

    /// No segment with a lower number is part of the log once all that was appended so far is on disk; nobody's body may be in
    /// one.
    pub(crate) fn remove_below(&mut self, segment: u64) {
        assert!(self.oldest_segment() >= segment, "a segment below {segment} is still needed");
        self.writer.remove_segments_below(segment);
    }

    /// The oldest segment is not needed any more; it goes once all that was appended so far is on disk.
    pub(crate) fn drop_oldest(&mut self) {
        if let Some((number, used)) = self.segments.pop_first() {
            assert_eq!(used.live_jobs, 0, "segment {number} still holds bodies");
            self.writer.remove_segments_below(number + 1);
        }
    }
}
