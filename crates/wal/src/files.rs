//! Segment files kept open for reading, a bounded number of them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use stdx::io::{Io, OpenMode};

use crate::error::{DiskError, ReadError};
use crate::names;
use crate::shared::Shared;

/// Files open at once.
const OPEN_MAX: usize = 32;

pub(crate) struct Files<D: Io> {
    pub(crate) io: D,
    shared: Arc<Shared>,
    /// The most recently used in front.
    open: Mutex<VecDeque<(u64, Arc<D::File>)>>,
}

impl<D: Io> Files<D> {
    pub(crate) fn new(io: D, shared: Arc<Shared>) -> Files<D> {
        Files { io, shared, open: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn get(&self, segment: u64) -> Result<Arc<D::File>, ReadError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(number, _)| *number == segment) {
            if let Some(entry) = open.remove(at) {
                open.push_front(entry);
            }
        } else {
            let path = names::segment(&self.shared.folder, segment);
            let file = match self.io.open(&path, OpenMode::Read) {
                Ok(file) => Arc::new(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ReadError::NoSegment { segment }),
                Err(e) => return Err(DiskError::new("open", &path, e).into()),
            };
            open.truncate(OPEN_MAX - 1);
            open.push_front((segment, file));
        }
        Ok(Arc::clone(&open[0].1))
    }

    /// Closes the files of removed segments, so that their space is given back.
    pub(crate) fn close_below(&self, floor: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number >= floor);
    }
}
