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
use crate::walk::{Cursor, Walk};
use crate::window::Window;

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
        let found = self.shared.segment(segment).ok_or(ReadError::NoSegment { segment })?;
        let file = self.files.get(segment)?;
        let failed = |e| DiskError::new("read", &names::segment(&self.shared.folder, segment), e);
        let window = Window::new(&self.files.io, &file, found.bytes);
        let mut walk = Walk::new(window, self.shared.seed(segment), segment);
        let mut cursor = Cursor { next_lsn: Some(found.first_lsn.0), ..Cursor::default() };
        let mut damage = Vec::new();
        let end = walk.run(SEGMENT_DATA, &mut cursor, visit, &mut damage).map_err(failed)?;
        if end.trailing > 0 {
            let limit = self.shared.segment(segment + 1).map(|next| next.first_lsn.0);
            let stretch = end.offset..end.offset + end.trailing;
            damage.push(walk.salvage(stretch, limit, &mut cursor, visit).map_err(failed)?);
        }
        Ok(damage)
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
