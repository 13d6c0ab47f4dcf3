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

/// Where a block begins, and the checksum of all that is before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    offset: u64,
    chain: u32,
}

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

    /// Begins a block of this kind; its entries go into [`Out::block`].
    pub(super) fn begin(&mut self, kind: Kind) -> io::Result<Place> {
        self.close()?;
        self.kind = kind;
        Ok(Place { offset: self.offset, chain: self.chain })
    }

    /// The block that was begun.
    pub(super) fn block(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
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

    /// As [`In::open`], from a block in the middle on.
    pub(super) fn open_at(io: &'a D, path: &Path, place: Place) -> io::Result<In<'a, D>> {
        Ok(In { offset: place.offset, chain: place.chain, ..In::open(io, path)? })
    }

    /// Where the next block begins.
    pub(super) fn place(&self) -> Place {
        Place { offset: self.offset, chain: self.chain }
    }

    /// The next block's kind and payload.
    pub(super) fn next(&mut self) -> Result<(u8, &[u8]), Unusable> {
        let place = self.place();
        read_block(self.io, &self.file, (place, self.len), &mut self.block)?;
        self.offset += self.block.len() as u64;
        self.chain = checksum(self.chain, &self.block);
        Ok((self.block[4], &self.block[HEAD..]))
    }
}

/// Reads one block of a file of that length, whole and as it was written; its kind is at 4, its payload behind [`HEAD`].
fn read_block<D: Io>(io: &D, file: &D::File, (place, len): (Place, u64), block: &mut Vec<u8>) -> Result<(), Unusable> {
    let mut head = [0; HEAD];
    read(io, file, &mut head, place.offset)?;
    let payload = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if payload > BLOCK_BYTES_MAX || payload as u64 > len - place.offset - HEAD as u64 {
        return Err(Unusable::Damaged);
    }
    block.clear();
    block.extend_from_slice(&head);
    block.resize(HEAD + payload, 0);
    read(io, file, &mut block[HEAD..], place.offset + HEAD as u64)?;
    if checksum(place.chain, block).to_le_bytes() != block[5..HEAD] { Err(Unusable::Damaged) } else { Ok(()) }
}

/// A file of blocks of which now and then one is wanted.
pub(super) struct Blocks<D: Io> {
    io: D,
    file: D::File,
    len: u64,
}

impl<D: Io> Blocks<D> {
    pub(super) fn open(io: &D, path: &Path) -> io::Result<Blocks<D>> {
        let file = io.open(path, OpenMode::Read)?;
        let len = io.len(&file)?;
        Ok(Blocks { io: io.clone(), file, len })
    }

    /// The payload of the block there, which is of this kind.
    pub(super) fn read<'b>(&self, place: Place, kind: Kind, block: &'b mut Vec<u8>) -> Result<&'b [u8], Unusable> {
        read_block(&self.io, &self.file, (place, self.len), block)?;
        if block[4] == kind as u8 { Ok(&block[HEAD..]) } else { Err(Unusable::Damaged) }
    }
}

fn read<D: Io>(io: &D, file: &D::File, into: &mut [u8], offset: u64) -> Result<(), Unusable> {
    io.read_exact_at(file, into, offset).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Unusable::Damaged,
        _ => Unusable::Disk(e),
    })
}

fn checksum(chain: u32, block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &block[..5]), &block[HEAD..])
}
