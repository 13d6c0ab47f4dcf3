//! What is kept in memory of the records on disk, written down so that a start reads only the log's end.
//!
//! It is a shortcut and nothing else: without it, or when it is damaged or of another log, a start reads the whole log and
//! comes to the same. The file is in `docs/formats/logs.md`.

use std::io;
use std::path::{Path, PathBuf};

use stdx::io::{Io, OpenMode};
use wal::{Lsn, Resume};

use crate::index::Index;
use crate::origins::Origins;

const MAGIC: [u8; 8] = *b"FBAYLOX\n";
const VERSION: u32 = 1;

/// One moment of what is known.
pub(crate) struct Checkpoint {
    /// The log, and the newest record that is known.
    pub(crate) at: Resume,
    pub(crate) index: Index,
    pub(crate) origins: Origins,
}

/// When the next one is to be taken, and the one that waits until its records are on disk.
pub(crate) struct Checkpoints {
    log: [u8; 16],
    /// The segment that was written when the last one was taken.
    segment: u64,
    taken: Option<Vec<u8>>,
    lsn: Lsn,
}

impl Checkpoints {
    pub(crate) fn new(log: [u8; 16], segment: u64) -> Checkpoints {
        Checkpoints { log, segment, taken: None, lsn: Lsn(0) }
    }

    /// Says whether the log has gone over to another segment since the last one.
    pub(crate) fn is_due(&self, segment: u64) -> bool {
        segment != self.segment
    }

    /// Takes one in place of the last: `lsn` is the newest record that the others tell of.
    pub(crate) fn take(&mut self, segment: u64, lsn: Lsn, index: &Index, origins: &Origins) {
        self.segment = segment;
        self.lsn = lsn;
        self.taken = Some(encode(Resume { log: self.log, lsn }, index, origins));
    }

    /// The one that may be written, now that all records up to there are on disk.
    pub(crate) fn ready(&mut self, durable: Lsn) -> Option<Vec<u8>> {
        if self.lsn <= durable { self.taken.take() } else { None }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

/// Writes one in the place of the last.
///
/// # Errors
/// What the disk says; the last one is still there, or none.
pub(crate) fn write<D: Io>(disk: &D, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join("checkpoint.new");
    remove_file(disk, &temporary)?;
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    disk.write_all_at(&file, bytes, 0)?;
    disk.sync_data(&file)?;
    disk.rename(&temporary, &path(folder))?;
    disk.sync_dir(folder)
}

/// Removes it, for good.
pub(crate) fn remove<D: Io>(disk: &D, folder: &Path) -> io::Result<()> {
    remove_file(disk, &path(folder))?;
    disk.sync_dir(folder)
}

fn remove_file<D: Io>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.unlink(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The checkpoint, if there is one and it is whole.
///
/// # Errors
/// What the disk says when it does not read.
pub(crate) fn read<D: Io>(disk: &D, folder: &Path) -> io::Result<Option<Checkpoint>> {
    let file = match disk.open(&path(folder), OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = vec![0; usize::try_from(disk.len(&file)?).unwrap_or(0)];
    disk.read_exact_at(&file, &mut bytes, 0)?;
    Ok(decode(&bytes))
}

fn encode(at: Resume, index: &Index, origins: &Origins) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&at.log);
    out.extend_from_slice(&at.lsn.0.to_le_bytes());
    index.encode(&mut out);
    origins.encode(&mut out);
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (bytes, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut input = Input(bytes);
    if input.take(MAGIC.len())? != MAGIC || input.u32()? != VERSION {
        return None;
    }
    let log = input.take(16)?.try_into().ok()?;
    let at = Resume { log, lsn: Lsn(input.u64()?) };
    let (index, origins) = (Index::decode(&mut input)?, Origins::decode(&mut input)?);
    input.0.is_empty().then_some(Checkpoint { at, index, origins })
}

/// What is left to read.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

/// Text with its length in front.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use stdx::clock::Wall;
    use testkit::FakeDisk;

    use super::*;
    use crate::origins::OriginLine;

    fn some() -> (Index, Origins) {
        let (mut index, mut origins) = (Index::default(), Origins::default());
        for seq in 1..=5_000 {
            index.note(1 + seq / 1_500, seq, Wall(seq * 7 % 1_000));
            let scope = ["shop", "blog/staging"][seq as usize % 2].parse().unwrap();
            let line = OriginLine { origin_seq: seq / 3, time: Wall(seq) };
            origins.note(&scope, &format!("web.{}", seq % 50), line, seq);
        }
        (index, origins)
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let (disk, folder) = (FakeDisk::new(1), Path::new("/logs"));
        disk.create_dir(folder).unwrap();
        assert!(read(&disk, folder).unwrap().is_none());
        let (index, origins) = some();
        let mut checkpoints = Checkpoints::new([7; 16], 1);
        assert!(checkpoints.is_due(4) && !checkpoints.is_due(1));
        checkpoints.take(4, Lsn(5_000), &index, &origins);
        assert_eq!(checkpoints.ready(Lsn(4_999)), None, "not all that it tells of is on disk");
        let bytes = checkpoints.ready(Lsn(5_000)).unwrap();
        write(&disk, folder, &bytes).unwrap();
        disk.power_cut();
        let found = read(&disk, folder).unwrap().unwrap();
        assert_eq!(found.at, Resume { log: [7; 16], lsn: Lsn(5_000) });
        assert_eq!(encode(found.at, &found.index, &found.origins).len(), bytes.len());
        let blocks = |index: &Index| index.above(0).into_iter().flat_map(|s| s.blocks.to_vec()).collect::<Vec<_>>();
        assert_eq!(blocks(&found.index), blocks(&index));
        let (shop, blog) = ("shop".parse().unwrap(), "blog/staging".parse().unwrap());
        for instance in (0..50).map(|n| format!("web.{n}")) {
            assert_eq!(found.origins.last(&shop, &instance), origins.last(&shop, &instance));
            assert_eq!(found.origins.last(&blog, &instance), origins.last(&blog, &instance));
        }
        for at in 0..bytes.len().min(2_000) {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 4;
            assert!(decode(&spoilt).is_none(), "byte {at}");
        }
        for len in (0..bytes.len()).step_by(101) {
            assert!(decode(&bytes[..len]).is_none(), "cut at {len}");
        }
        remove(&disk, folder).unwrap();
        disk.power_cut();
        assert!(read(&disk, folder).unwrap().is_none());
    }
}
