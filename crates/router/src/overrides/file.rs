//! The overrides on disk: one small file, written whole.
//!
//! Its first line is `forebay overrides VERSION crc32c=DIGITS`, the rest is the ledger as JSON, which the checksum covers.

use std::io;
use std::path::Path;

use stdx::io::{Io, OpenMode, replace_file};

use super::ledger::Ledger;

/// The version that is written. It is the first: there is nothing older to migrate.
const VERSION: u32 = 1;
/// Bytes of the file that are read.
const BYTES_MAX: u64 = 4 << 20;

/// Why the overrides of before cannot be known. The router does not start without them: a breaker that was tripped by
/// hand must not close because a file is damaged.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The disk.
    #[error("cannot read the overrides: {0}")]
    Unreadable(#[from] io::Error),
    /// Written by a later Forebay.
    #[error("the overrides have format {found}; this Forebay reads {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Not what Forebay writes.
    #[error("the overrides are damaged: {0}")]
    Malformed(String),
}

impl LoadError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Unreadable(_) => "overrides_unreadable",
            LoadError::Newer { .. } => "overrides_newer",
            LoadError::Malformed(_) => "overrides_malformed",
        }
    }
}

/// Reads the ledger; an empty one where there is no file.
///
/// # Errors
/// When there is a file that is not understood.
pub(super) fn load<D: Io>(io: &D, path: &Path) -> Result<Ledger, LoadError> {
    let file = match io.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
        opened => opened?,
    };
    let len = io.len(&file)?;
    if len > BYTES_MAX {
        return Err(LoadError::Malformed(format!("{len} bytes are too many")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    io.read_exact_at(&file, &mut bytes, 0)?;
    decode(&bytes)
}

/// Writes the ledger whole; when that fails the file of before still stands.
///
/// # Errors
/// What the system says.
pub(super) fn save<D: Io>(io: &D, path: &Path, ledger: &Ledger) -> io::Result<()> {
    replace_file(io, path, &encode(ledger)?)
}

fn encode(ledger: &Ledger) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec_pretty(ledger).map_err(io::Error::from)?;
    let mut bytes = format!("forebay overrides {VERSION} crc32c={:08x}\n", crc32c::crc32c(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Ledger, LoadError> {
    let malformed = |what: &str| LoadError::Malformed(what.into());
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| malformed("it has no first line"))?;
    let (first, json) = (str::from_utf8(&bytes[..end]), &bytes[end + 1..]);
    let (version, checksum) =
        first.ok().and_then(first_line).ok_or_else(|| malformed("its first line says nothing"))?;
    match version {
        VERSION => {}
        found if found > VERSION => return Err(LoadError::Newer { found }),
        _ => return Err(malformed("there is no such version")),
    }
    if crc32c::crc32c(json) != checksum {
        return Err(malformed("its checksum is not that of its content"));
    }
    serde_json::from_slice(json).map_err(|error| LoadError::Malformed(error.to_string()))
}

fn first_line(line: &str) -> Option<(u32, u32)> {
    let (version, checksum) = line.strip_prefix("forebay overrides ")?.split_once(" crc32c=")?;
    Some((version.parse().ok()?, u32::from_str_radix(checksum, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overrides::ledger::By;
    use control::wire::router::{BreakerByHand, Setting};
    use stdx::clock::Wall;
    use stdx::io::Disk;
    use testkit::FakeDisk;

    fn by() -> By {
        By { who: "uid 0".into(), why: Some("the database is down".into()) }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.set(
            Setting::Breaker { route: "shop/production/".into(), state: BreakerByHand::Tripped },
            None,
            by(),
            Wall(7),
        );
        ledger
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("overrides");
        assert_eq!(load(&Disk, &path).unwrap(), Ledger::default());
        save(&Disk, &path, &ledger()).unwrap();
        assert_eq!(load(&Disk, &path).unwrap(), ledger());
    }

    #[test]
    fn no_flipped_bit_and_no_cut_is_taken_for_what_was_written() {
        let bytes = encode(&ledger()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), ledger());
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            // The case of a checksum's digits carries nothing.
            assert!(decode(&flipped).is_err() || flipped.eq_ignore_ascii_case(&bytes), "bit {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]).unwrap_err().code(), "overrides_malformed", "{len} bytes");
        }
    }

    #[test]
    fn a_later_version_is_refused_by_its_name() {
        let bytes = b"forebay overrides 2 crc32c=00000000\n{}";
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.code(), "overrides_newer");
        assert_eq!(error.to_string(), "the overrides have format 2; this Forebay reads 1");
    }

    #[test]
    fn the_first_version_is_read_as_it_was_written() {
        let bytes = include_bytes!("../../tests/fixtures/overrides-1");
        assert_eq!(decode(bytes).unwrap(), ledger());
        assert_eq!(encode(&ledger()).unwrap(), bytes, "the format has changed: raise its version and migrate");
    }

    #[test]
    fn whenever_the_power_fails_the_file_is_the_old_one_or_the_new_one() {
        let path = Path::new("/data/router/overrides");
        let old = ledger();
        let mut new = ledger();
        new.expire(Wall(8));
        new.set(Setting::Breaker { route: "b".into(), state: BreakerByHand::Closed }, None, by(), Wall(9));
        for changes in 0..20 {
            let disk = FakeDisk::new(changes);
            disk.create_dir(path.parent().unwrap()).unwrap();
            save(&disk, path, &old).unwrap();
            disk.power_off_after(changes);
            let saved = save(&disk, path, &new).is_ok();
            disk.power_cut();
            let found = load(&disk, path).unwrap();
            assert!(found == new || (!saved && found == old), "after {changes} changes: {found:?}");
        }
    }
}
