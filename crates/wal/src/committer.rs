//! The disk's end of the log: writes batches, syncs them, removes old segments.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use stdx::io::{Io, OpenMode};

use crate::batch::Batch;
use crate::config::Config;
use crate::error::{CommitError, DiskError, Poison};
use crate::files::Files;
use crate::format::{BATCH_HEADER, BatchHeader, SegmentHeader};
use crate::names;
use crate::reserve::{Reserve, Spare};
use crate::shared::Shared;
use crate::types::Lsn;
use crate::writer::Tail;

/// A batch that is on disk.
#[derive(Debug)]
pub struct Committed {
    /// Every record up to this one is on disk.
    pub durable: Lsn,
    /// Records in this batch.
    pub records: u32,
    /// Bytes of this batch on disk.
    pub bytes: usize,
    /// How the log stands with its disk; see [`Reserve`].
    pub reserve: Reserve,
    /// The batch's buffer, for [`crate::Writer::recycle`].
    pub buffer: Vec<u8>,
}

/// Makes batches durable, one after the other. It blocks; a plane runs it on a [`crate::CommitThread`].
pub struct Committer<D: Io> {
    io: D,
    shared: Arc<Shared>,
    files: Arc<Files<D>>,
    /// The segment being written; `None` when the next batch starts a new one.
    current: Option<(u64, D::File)>,
    next_lsn: Lsn,
    chain: u32,
    /// Where the last batch ends.
    end: u32,
    /// The floor of the newest durable batch.
    floor: u64,
    /// Segments that have left the log and still have their file.
    doomed: Vec<u64>,
    /// The segment before this one, until what was set aside behind its end is given back.
    closed: Option<(u64, D::File, u32)>,
    spare: Spare,
}

/// A step of a commit that failed.
enum Fault {
    /// A full disk refused to take bytes. What was synced before still stands, so the step can be repeated.
    Full(DiskError),
    /// Anything else, any failed sync among it.
    Broken(DiskError),
}

impl<D: Io> Committer<D> {
    pub(crate) fn open(
        io: D,
        config: &Config,
        shared: Arc<Shared>,
        files: Arc<Files<D>>,
        tail: Tail,
    ) -> Result<Committer<D>, DiskError> {
        let current = if tail.fresh {
            None
        } else {
            let path = names::segment(&config.folder, tail.segment);
            let file = io.open(&path, OpenMode::Write).map_err(|e| DiskError::new("open", &path, e))?;
            Some((tail.segment, file))
        };
        let spare = Spare::open(&io, config)?;
        let mut committer = Committer {
            io,
            shared,
            files,
            current,
            next_lsn: tail.next_lsn,
            chain: tail.chain,
            end: tail.end,
            floor: tail.floor,
            doomed: Vec::new(),
            closed: None,
            spare,
        };
        committer.set_aside()?;
        Ok(committer)
    }

    /// Writes and syncs a batch. When it returns `Ok`, the batch and all before it are on disk and can be read.
    ///
    /// # Errors
    /// [`CommitError::DiskFull`] gives the batch back: commit it again later. [`CommitError::Poisoned`] is final: a write
    /// or a sync failed, nothing was or will be acknowledged after the last `Ok`, and only opening the log again tells
    /// what is on disk.
    ///
    /// # Panics
    /// When batches are not committed in the order they were taken.
    pub fn commit(&mut self, mut batch: Batch) -> Result<Committed, CommitError> {
        self.clean_up()?;
        assert_eq!(batch.first_lsn, self.next_lsn, "batches are committed in the order they were taken");
        let crc = self.seal(&mut batch);
        match self.write(&batch) {
            Ok(()) => {}
            Err(Fault::Full(cause)) => return Err(CommitError::DiskFull { batch, cause }),
            Err(Fault::Broken(cause)) => return Err(self.poison(cause).into()),
        }
        self.chain = crc;
        self.end = batch.offset + batch.bytes.len() as u32;
        self.next_lsn = batch.last_lsn().next();
        self.floor = self.floor.max(batch.floor);
        self.shared.grown(batch.segment, batch.first_lsn, self.end);
        Ok(Committed {
            durable: batch.last_lsn(),
            records: batch.count,
            bytes: batch.bytes.len(),
            reserve: self.spare.state(),
            buffer: batch.bytes,
        })
    }

    /// How the log stands with its disk now.
    pub fn reserve(&self) -> Reserve {
        self.spare.state()
    }

    /// Does what need not be waited for: unlinks the segments that the last batch removed, and sets the reserve aside
    /// again. [`crate::CommitThread`] calls it after it has reported a batch; the next [`Committer::commit`] does
    /// otherwise.
    ///
    /// # Errors
    /// The log's [`Poison`], or the disk's failure, which becomes it.
    pub fn clean_up(&mut self) -> Result<(), Poison> {
        if let Some(cause) = self.shared.poisoned() {
            return Err(cause.clone());
        }
        self.unlink_removed().and_then(|()| self.set_aside()).map_err(|e| self.poison(e))
    }

    pub(crate) fn poison_panicked(&self, text: String) -> Poison {
        self.shared.poison(Poison::Panicked(text))
    }

    fn poison(&self, cause: DiskError) -> Poison {
        self.shared.poison(Poison::Disk(cause))
    }

    fn seal(&self, batch: &mut Batch) -> u32 {
        let fields = BatchHeader {
            body_len: (batch.bytes.len() - BATCH_HEADER) as u32,
            count: batch.count,
            chain: self.chain,
            first_lsn: batch.first_lsn.0,
            floor: batch.floor,
            crc: 0,
        };
        BatchHeader::seal(&mut batch.bytes, fields, self.shared.seed(batch.segment), batch.offset)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let folder = &self.shared.folder;
        match &self.current {
            Some((number, file)) if *number == batch.segment => {
                let path = names::segment(folder, *number);
                let offset = u64::from(batch.offset);
                let write =
                    || self.io.write_all_at(file, &batch.bytes, offset).map_err(|e| may_be_full("write", &path, e));
                match write() {
                    Err(Fault::Full(_)) if self.spare.give_to(&self.io, file, offset).map_err(Fault::Broken)? => {
                        write()?
                    }
                    other => other?,
                }
                self.io.sync_data(file).map_err(|e| broken("sync", &path, e))
            }
            _ => {
                let file = self.write_new_segment(batch)?;
                self.closed = self.current.take().map(|(number, file)| (number, file, self.end));
                self.current = Some((batch.segment, file));
                self.spare.begin_segment();
                Ok(())
            }
        }
    }

    /// A new segment has its first batch in it, synced, before it gets its name, and its name is synced before the batch
    /// is acknowledged. So a named segment always has a whole header.
    fn write_new_segment(&mut self, batch: &Batch) -> Result<D::File, Fault> {
        let folder = &self.shared.folder;
        let (temporary, path) = (names::temporary(folder, batch.segment), names::segment(folder, batch.segment));
        match self.io.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(may_be_full("unlink", &temporary, e)),
            _ => {}
        }
        let header = SegmentHeader {
            uuid: self.shared.uuid,
            number: batch.segment,
            first_lsn: batch.first_lsn.0,
            floor: batch.floor,
            chain: self.chain,
            previous_end: self.end,
        };
        let fill = |file: D::File| {
            self.io.write_all_at(&file, &header.encode_area(), 0)?;
            self.io.write_all_at(&file, &batch.bytes, u64::from(batch.offset))?;
            Ok(file)
        };
        let failed = |e| may_be_full("write", &temporary, e);
        let created = self.io.open(&temporary, OpenMode::CreateNew).and_then(fill).map_err(failed);
        let file = match created {
            Err(Fault::Full(cause)) => match self.spare.become_segment(&self.io, &temporary).map_err(failed)? {
                Some(file) => fill(file).map_err(failed)?,
                None => return Err(Fault::Full(cause)),
            },
            other => other?,
        };
        self.io.sync_data(&file).map_err(|e| broken("sync", &temporary, e))?;
        self.io.rename(&temporary, &path).map_err(|e| may_be_full("rename", &temporary, e))?;
        self.io.sync_dir(folder).map_err(|e| broken("sync", folder, e))?;
        Ok(file)
    }

    /// Keeps space for a full disk, and gives back what is left of it behind the end of the segment before.
    fn set_aside(&mut self) -> Result<(), DiskError> {
        if let Some((number, file, end)) = self.closed.take() {
            let path = names::segment(&self.shared.folder, number);
            self.io.set_len(&file, u64::from(end)).map_err(|e| DiskError::new("cut", &path, e))?;
        }
        let current = self.current.as_ref().map(|(_, file)| (file, u64::from(self.end)));
        self.spare.restore(&self.io, current)
    }

    /// The floor is durable, so a crash between two unlinks is finished by the next open.
    fn unlink_removed(&mut self) -> Result<(), DiskError> {
        self.doomed.extend(self.shared.forget_below(self.floor).iter().map(|segment| segment.number));
        if self.doomed.is_empty() {
            return Ok(());
        }
        self.files.close_below(self.floor);
        while let Some(&number) = self.doomed.last() {
            let path = names::segment(&self.shared.folder, number);
            let gone = if self.shared.keeps_file(number) {
                let kept: PathBuf = names::quarantined(&self.shared.folder, number);
                self.io.rename(&path, &kept)
            } else {
                self.io.unlink(&path)
            };
            match gone {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(DiskError::new("remove", &path, e)),
                _ => self.doomed.pop(),
            };
        }
        let folder = &self.shared.folder;
        self.io.sync_dir(folder).map_err(|e| DiskError::new("sync", folder, e))
    }
}

fn may_be_full(action: &'static str, path: &std::path::Path, e: io::Error) -> Fault {
    let e = DiskError::new(action, path, e);
    if e.is_full() { Fault::Full(e) } else { Fault::Broken(e) }
}

fn broken(action: &'static str, path: &std::path::Path, e: io::Error) -> Fault {
    Fault::Broken(DiskError::new(action, path, e))
}
