//! A file of blocks, each tied to the one before by its checksum.
//!
//! ```text
//! block   0  length of the payload u32     4  kind u8     5  CRC32C of bytes 0..5 and the payload u32     9  payload
//! ```
//!
//! The checksum of a block goes on from that of the block before.

use std::io;
use std::path::{Path, PathBuf};

use stdx::io::{Io, OpenMode};

use super::{Kind, Unusable};

/// A block is closed when it has this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// No block is longer; what says so is no block.
const BLOCK_BYTES_MAX: usize = 16 << 20;

const HEAD: usize = 9;

/// Bytes written before they are synced, so that the log's own syncs never wait for much of it.
const SYNC_BYTES: u64 = 2 << 20;

/// A file of blocks being written.
pub(super) struct Out<'a, D: Io> {
    io: &'a D,
    file: D::File,
    pub(super) temporary: PathBuf,
    buffer: Vec<u8>,
    kind: Kind,
    chain: u32,
    offset: u64,
    synced: u64,
}

impl<'a, D: Io> Out<'a, D> {
    /// Begins the file that will be `path`, under a name of its own.
    pub(super) fn create(io: &'a D, path: &Path) -> io::Result<Out<'a, D>> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        match io.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = io.open(&temporary, OpenMode::CreateNew)?;
        Ok(Out { io, file, temporary, buffer: vec![0; HEAD], kind: Kind::Head, chain: 0, offset: 0, synced: 0 })
    }

    /// Where the next entry of this kind goes; it ends the block before if that is of another kind or full.
    pub(super) fn entry(&mut self, kind: Kind) -> io::Result<&mut Vec<u8>> {
        if kind != self.kind || self.buffer.len() >= BLOCK_BYTES {
            self.close()?;
            self.kind = kind;
        }
        Ok(&mut self.buffer)
    }

    fn close(&mut self) -> io::Result<()> {
        if self.buffer.len() == HEAD {
            return Ok(());
        }
        let len = (self.buffer.len() - HEAD) as u32;
        self.buffer[..4].copy_from_slice(&len.to_le_bytes());
        self.buffer[4] = self.kind as u8;
        self.chain = checksum(self.chain, &self.buffer);
        self.buffer[5..HEAD].copy_from_slice(&self.chain.to_le_bytes());
        self.io.write_all_at(&self.file, &self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.truncate(HEAD);
        if self.offset - self.synced >= SYNC_BYTES {
            self.io.sync_data(&self.file)?;
            self.synced = self.offset;
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name, for good. Returns its length.
    pub(super) fn finish(mut self, path: &Path) -> io::Result<u64> {
        self.close()?;
        self.io.sync_data(&self.file)?;
        self.io.rename(&self.temporary, path)?;
        if let Some(folder) = path.parent() {
            self.io.sync_dir(folder)?;
        }
        Ok(self.offset)
    }
}

/// A file of blocks being read.
pub(super) struct In<'a, D: Io> {
    io: &'a D,
    file: D::File,
    offset: u64,
    len: u64,
    chain: u32,
    block: Vec<u8>,
}

impl<'a, D: Io> In<'a, D> {
    pub(super) fn open(io: &'a D, path: &Path) -> io::Result<In<'a, D>> {
        let file = io.open(path, OpenMode::Read)?;
        let len = io.len(&file)?;
        Ok(In { io, file, offset: 0, len, chain: 0, block: Vec::new() })
    }

    /// The next block's kind and payload.
    pub(super) fn next(&mut self) -> Result<(u8, &[u8]), Unusable> {
        let mut head = [0; HEAD];
        self.read(&mut head)?;
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len > BLOCK_BYTES_MAX || len as u64 > self.len - self.offset {
            return Err(Unusable::Damaged);
        }
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.extend_from_slice(&head);
        block.resize(HEAD + len, 0);
        self.read(&mut block[HEAD..])?;
        self.chain = checksum(self.chain, &block);
        self.block = block;
        if self.chain.to_le_bytes() != self.block[5..HEAD] {
            return Err(Unusable::Damaged);
        }
        Ok((self.block[4], &self.block[HEAD..]))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), Unusable> {
        self.io.read_exact_at(&self.file, into, self.offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Unusable::Damaged,
            _ => Unusable::Disk(e),
        })?;
        self.offset += into.len() as u64;
        Ok(())
    }
}

fn checksum(chain: u32, block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &block[..5]), &block[HEAD..])
}
