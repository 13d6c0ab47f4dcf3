//! How a source travels: as a tar archive that depends on nothing but its files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Entry, PIECE_BYTES, Source, SourceError};
use crate::digest::Kind;

/// Pieces that wait for the network.
const PIECES_MAX: usize = 8;

impl Source {
    /// Writes the source as a tar archive: modes 0644 and 0755, no owner, no time, so that equal sources give equal
    /// archives.
    ///
    /// # Errors
    /// When a file cannot be read or has changed, or `into` does not take the bytes.
    pub fn write_tar(&self, into: impl Write) -> Result<(), SourceError> {
        let mut archive = tar::Builder::new(into);
        for entry in &self.entries {
            let path = self.root.join(&entry.path);
            let failed = |source: io::Error| match source.kind() {
                io::ErrorKind::UnexpectedEof => SourceError::Changed(entry.path.clone()),
                _ => SourceError::Io { path: entry.path.clone(), source },
            };
            append(&mut archive, entry, &path).map_err(failed)?;
        }
        let end = |source| SourceError::Io { path: self.root.clone(), source };
        archive.into_inner().and_then(|mut into| into.flush()).map_err(end)
    }

    /// The archive as a stream of pieces, made by a thread that goes no faster than they are taken.
    pub fn stream(self) -> ReceiverStream<io::Result<Bytes>> {
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        std::thread::spawn(move || {
            let into = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
            if let Err(error) = self.write_tar(into) {
                // A receiver that has gone does not want to know.
                pieces.blocking_send(Err(io::Error::other(error))).ok();
            }
        });
        ReceiverStream::new(taken)
    }
}

fn append(archive: &mut tar::Builder<impl Write>, entry: &Entry, path: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    match entry.kind {
        Kind::Link => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive.append_link(&mut header, &entry.path, fs::read_link(path)?)
        }
        Kind::File | Kind::Executable => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(entry.bytes);
            header.set_mode(if entry.kind == Kind::Executable { 0o755 } else { 0o644 });
            let file = Exactly { file: File::open(path)?, left: entry.bytes };
            archive.append_data(&mut header, &entry.path, file)
        }
    }
}

/// Reads as many bytes as the header has promised: a file that grows is cut there, one that shrinks is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read(&mut into[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Writes into a bounded channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
