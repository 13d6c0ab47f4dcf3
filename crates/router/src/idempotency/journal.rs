//! First answers on disk: a log of their own, written and synced by one thread for all workers.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};

use bytes::Bytes;
use stdx::io::Disk;
use tokio::sync::oneshot;
use wal::{Batch, CommitError, Committer, Opened, Position, Reader, Writer};

use super::record;

/// Segments that the journal's bytes are spread over: what is forgotten is forgotten by whole ones.
const SEGMENTS: u64 = 8;

/// What may wait for the thread; an answer beyond it is kept in memory.
const ASKS_MAX: usize = 10_000;

/// The way to the thread. When it is dropped the thread ends.
#[derive(Debug)]
pub(super) struct Journal(SyncSender<Ask>);

#[derive(Debug)]
enum Ask {
    Record { payload: Bytes, done: oneshot::Sender<Position> },
    Read { at: Position, done: oneshot::Sender<Bytes> },
    RemoveBelow(u64),
}

impl Journal {
    /// Opens the journal and hands every answer that it holds to `visit`, oldest first.
    ///
    /// # Errors
    /// When it cannot be opened, or the thread not be had.
    pub(super) fn open(
        folder: PathBuf,
        bytes_max: u64,
        visit: &mut dyn FnMut(Position, &[u8]),
    ) -> Result<Journal, JournalError> {
        let mut config = wal::Config::new(folder);
        config.segment_bytes_max = (bytes_max / SEGMENTS).clamp(32 << 20, 1 << 30);
        let opened = wal::open(Disk, config, &mut |found| {
            if found.kind == record::ANSWER {
                visit(found.position, found.payload);
            }
        })?;
        for damage in &opened.report.damage {
            tracing::error!(%damage, "recorded answers are damaged; what lies around them is used");
        }
        let (asks, asked) = mpsc::sync_channel(ASKS_MAX);
        std::thread::Builder::new().name("router-answers".into()).spawn(move || Scribe::new(opened).run(&asked))?;
        Ok(Journal(asks))
    }

    /// Writes an answer; where it is, once it is on disk. `None` when it could not be written.
    pub(super) async fn record(&self, payload: Bytes) -> Option<Position> {
        let (done, answer) = oneshot::channel();
        self.0.try_send(Ask::Record { payload, done }).ok()?;
        answer.await.ok()
    }

    /// Reads an answer, `None` when it is not there any more.
    pub(super) async fn read(&self, at: Position) -> Option<Bytes> {
        let (done, answer) = oneshot::channel();
        self.0.try_send(Ask::Read { at, done }).ok()?;
        answer.await.ok()
    }

    /// Nothing before this segment is needed.
    pub(super) fn remove_below(&self, segment: u64) {
        if self.0.try_send(Ask::RemoveBelow(segment)).is_err() {
            tracing::debug!("old first answers stay on disk for now");
        }
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log does not open.
    #[error("cannot open the journal of first answers: {0}")]
    Open(#[from] wal::OpenError),
    /// There is no thread for it.
    #[error("cannot start the journal's thread: {0}")]
    Thread(#[from] std::io::Error),
}

struct Scribe {
    writer: Writer,
    committer: Committer<Disk>,
    reader: Reader<Disk>,
    /// A batch that a full disk refused: it has to be written before all others.
    refused: Option<Batch>,
}

impl Scribe {
    fn new(opened: Opened<Disk>) -> Scribe {
        Scribe { writer: opened.writer, committer: opened.committer, reader: opened.reader, refused: None }
    }

    /// Does what is asked, one sync for all that came during the one before.
    fn run(mut self, asked: &Receiver<Ask>) {
        while let Ok(first) = asked.recv() {
            let mut written = Vec::new();
            for ask in std::iter::once(first).chain(asked.try_iter()) {
                match ask {
                    Ask::Record { payload, done } => match self.writer.append(record::ANSWER, &[&payload]) {
                        Ok((_, position)) => written.push((done, position)),
                        Err(error) => tracing::warn!(%error, "a first answer is kept in memory only"),
                    },
                    Ask::Read { at, done } => self.read(at, done),
                    Ask::RemoveBelow(segment) => self.writer.remove_segments_below(segment),
                }
            }
            if self.commit() {
                for (done, position) in written {
                    // Whoever asked may be gone.
                    done.send(position).unwrap_or_default();
                }
            }
        }
    }

    fn read(&self, at: Position, done: oneshot::Sender<Bytes>) {
        let mut answer = Vec::new();
        match self.reader.read(at, &mut answer) {
            Ok(_) => done.send(answer.into()).unwrap_or_default(),
            Err(error) => tracing::warn!(%error, "a first answer cannot be read again"),
        }
    }

    /// Writes and syncs all that is pending; whether it is on disk.
    fn commit(&mut self) -> bool {
        while let Some(batch) = self.refused.take().or_else(|| self.writer.take_batch()) {
            match self.committer.commit(batch) {
                Ok(committed) => self.writer.recycle(committed.buffer),
                Err(CommitError::DiskFull { batch, cause }) => {
                    tracing::warn!(%cause, "first answers are kept in memory only");
                    self.refused = Some(batch);
                    return false;
                }
                Err(CommitError::Poisoned(cause)) => {
                    tracing::error!(%cause, "first answers are kept in memory only");
                    return false;
                }
            }
        }
        true
    }
}
