//! Reading records back, from any thread.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use stdx::io::Io;

use crate::error::{DiskError, ReadError};
use crate::files::Files;
use crate::format::{FRAME_HEADER, Frame, SEGMENT_DATA};
use crate::names;
use crate::report::Damage;
use crate::shared::Shared;
use crate::types::{Found, Position, Segment};
use crate::walk::{Cursor, Walk, WalkEnd};
use crate::window::Window;

/// What [`Reader::scan_some`] has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where the next batch starts; `None` at the end of what is committed of the segment.
    pub next: Option<u32>,
    /// What is not what was written.
    pub damage: Vec<Damage>,
}

/// Reads what is committed. Clones share a bounded set of open files.
pub struct Reader<D: Io> {
    shared: Arc<Shared>,
    files: Arc<Files<D>>,
}

impl<D: Io> Clone for Reader<D> {
    fn clone(&self) -> Reader<D> {
        Reader { shared: Arc::clone(&self.shared), files: Arc::clone(&self.files) }
    }
}

impl<D: Io> Reader<D> {
    pub(crate) fn new(shared: Arc<Shared>, files: Arc<Files<D>>) -> Reader<D> {
        Reader { shared, files }
    }

    /// Reads the payload at `at` into `into`, which it replaces, and returns the record's kind.
    ///
    /// # Errors
    /// [`ReadError`]; `into` then holds nothing of use.
    pub fn read(&self, at: Position, into: &mut Vec<u8>) -> Result<u8, ReadError> {
        let segment = self.shared.segment(at.segment).ok_or(ReadError::NoSegment { segment: at.segment })?;
        if u64::from(at.offset) + u64::from(at.len) > u64::from(segment.bytes) {
            return Err(ReadError::NotCommitted { at });
        }
        let Some(start) = at.offset.checked_sub(FRAME_HEADER as u32) else {
            return Err(ReadError::Damaged { at });
        };
        let file = self.files.get(at.segment)?;
        into.clear();
        into.resize(FRAME_HEADER + at.len as usize, 0);
        match self.files.io.read_exact_at(&file, into, u64::from(start)) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(ReadError::Damaged { at }),
            Err(e) => return Err(DiskError::new("read", &names::segment(&self.shared.folder, at.segment), e).into()),
        }
        match Frame::decode(into, self.shared.seed(at.segment), start) {
            Some(frame) if frame.whole && frame.payload.len() == at.len as usize => {
                let kind = frame.kind;
                into.drain(..FRAME_HEADER);
                Ok(kind)
            }
            _ => Err(ReadError::Damaged { at }),
        }
    }

    /// Hands the committed records of one segment to `visit`, in order, until it breaks. Returns the damage met: what is
    /// damaged is left out, what follows is delivered.
    ///
    /// # Errors
    /// [`ReadError::NoSegment`] when it is gone, [`ReadError::Disk`] when reading failed.
    pub fn scan_segment(
        &self,
        segment: u64,
        visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Damage>, ReadError> {
        let mut damage = Vec::new();
        self.walk(segment, SEGMENT_DATA, u32::MAX, visit, &mut damage)?;
        Ok(damage)
    }

    /// As [`Reader::scan_segment`], but no more than the batches in `bytes` bytes from the batch that starts at `from`, or
    /// from the first one. Damage costs the records in it.
    ///
    /// # Errors
    /// As [`Reader::scan_segment`].
    pub fn scan_some(
        &self,
        segment: u64,
        from: Option<u32>,
        bytes: u32,
        visit: &mut dyn FnMut(Found<'_>),
    ) -> Result<Scanned, ReadError> {
        let mut damage = Vec::new();
        let from = from.unwrap_or(SEGMENT_DATA);
        let mut visit = |found: Found<'_>| {
            visit(found);
            ControlFlow::Continue(())
        };
        let (end, len) = self.walk(segment, from, from.saturating_add(bytes), &mut visit, &mut damage)?;
        Ok(Scanned { next: (end.trailing == 0 && end.offset < len).then_some(end.offset), damage })
    }

    /// Whether nothing more is written to the segment, and all of it is committed.
    pub fn is_closed(&self, segment: u64) -> bool {
        self.shared.segment(segment).is_some() && self.shared.segment(segment + 1).is_some()
    }

    fn walk(
        &self,
        segment: u64,
        from: u32,
        stop: u32,
        visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
        damage: &mut Vec<Damage>,
    ) -> Result<(WalkEnd, u32), ReadError> {
        let found = self.shared.segment(segment).ok_or(ReadError::NoSegment { segment })?;
        let file = self.files.get(segment)?;
        let failed = |e| DiskError::new("read", &names::segment(&self.shared.folder, segment), e);
        let window = Window::new(&self.files.io, &file, found.bytes);
        let mut walk = Walk::new(window, self.shared.seed(segment), segment).until(stop);
        let next_lsn = (from == SEGMENT_DATA).then_some(found.first_lsn.0);
        let mut cursor = Cursor { next_lsn, ..Cursor::default() };
        let end = walk.run(from, &mut cursor, visit, damage).map_err(failed)?;
        if end.trailing > 0 {
            let limit = self.shared.segment(segment + 1).map(|next| next.first_lsn.0);
            let stretch = end.offset..end.offset + end.trailing;
            damage.push(walk.salvage(stretch, limit, &mut cursor, visit).map_err(failed)?);
        }
        Ok((end, found.bytes))
    }

    /// A record of this segment turned out to be damaged: when the segment is removed its file is renamed and kept.
    pub fn quarantine(&self, segment: u64) {
        self.shared.keep_file(segment);
    }

    /// The log's identity: given when it was made, the same in all its segments.
    pub fn log(&self) -> [u8; 16] {
        self.shared.uuid
    }

    /// Disk space free for this log in bytes, its reserve not counted: what a plane looks at before it takes more.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_bytes(&self) -> Result<u64, DiskError> {
        let folder = &self.shared.folder;
        self.files.io.free_bytes(folder).map_err(|e| DiskError::new("measure", folder, e))
    }

    /// The segments that are part of the log and have committed records, oldest first.
    pub fn segments(&self) -> Vec<Segment> {
        self.shared.segments()
    }
}
