//! Verdicts that outlive the process: a small file, replaced whole, so that a restart neither forgets who was down nor
//! asks everybody at once.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stdx::clock::Wall;
use stdx::io::{Io, replace_file};

use crate::checker::Health;

/// The version of the format; the file says which one it has.
const FORMAT: u32 = 1;
/// Bytes of a file that is read; a longer one is not ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is remembered of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What was believed.
    pub health: Health,
    /// When its last answer came, in nanoseconds of wall time.
    pub checked_ns: u64,
    /// Its weight among the others, where its name came with one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Its priority number, where its name came with one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: u16,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(priority: &u16) -> bool {
    *priority == 0
}

impl Remembered {
    /// How old that is; a clock that was set back makes it new.
    pub fn age(&self, now: Wall) -> std::time::Duration {
        now.since(Wall(self.checked_ns))
    }
}

/// What is remembered of all endpoints, by upstream and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(pub BTreeMap<String, BTreeMap<SocketAddr, Remembered>>);

/// Why a memory cannot be read; nothing is lost but one round of checks.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not what a Forebay writes.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Too long to be one.
    #[error("it has more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Written by a later Forebay.
    #[error("it has format {0}; this Forebay reads format {FORMAT}")]
    Newer(u32),
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    upstreams: T,
}

impl Memory {
    /// Reads the file; one that is not there remembers nothing.
    ///
    /// # Errors
    /// When it cannot be read or is not a memory.
    pub fn read(path: &Path) -> Result<Memory, MemoryError> {
        let text = match std::fs::metadata(path) {
            Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(MemoryError::TooLong),
            Ok(_) => std::fs::read(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
            Err(error) => return Err(error.into()),
        };
        Memory::decode(&text)
    }

    /// Puts the file in the place of the one before, all of it or nothing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, io: &impl Io, path: &Path) -> io::Result<()> {
        replace_file(io, path, &self.encode()?)
    }

    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&File { format: FORMAT, upstreams: &self.0 })
    }

    fn decode(text: &[u8]) -> Result<Memory, MemoryError> {
        let File { format, upstreams } = serde_json::from_slice::<File<serde_json::Value>>(text)?;
        if format != FORMAT {
            return Err(MemoryError::Newer(format));
        }
        Ok(Memory(serde_json::from_value(upstreams)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    #[test]
    fn the_format_of_version_one() {
        let text = r#"{"format":1,"upstreams":{"web":{"127.0.0.1:9000":{"health":"unhealthy","checked_ns":5}}}}"#;
        let read = Memory::decode(text.as_bytes()).unwrap();
        let one = Remembered { health: Health::Unhealthy, checked_ns: 5, weight: 1, priority: 0 };
        assert_eq!(read.0["web"][&"127.0.0.1:9000".parse().unwrap()], one);
        assert_eq!(String::from_utf8(read.encode().unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_newer_or_damaged_is_said() {
        let newer = Memory::decode(br#"{"format":2,"upstreams":[]}"#).unwrap_err();
        assert_eq!(newer.to_string(), "it has format 2; this Forebay reads format 1");
        assert!(matches!(Memory::decode(b"{").unwrap_err(), MemoryError::Damaged(_)));
        assert_eq!(Memory::read(Path::new("/nowhere/health.json")).unwrap(), Memory::default());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            all in prop::collection::btree_map("[a-z]{1,4}", prop::collection::btree_map(any::<(u32, u16)>(), any::<u64>(), 0..4), 0..4),
        ) {
            let endpoint = |((ip, port), checked_ns): ((u32, u16), u64)| {
                let health = [Health::Unknown, Health::Healthy, Health::Unhealthy][usize::from(port % 3)];
                (SocketAddr::from((std::net::Ipv4Addr::from(ip), port)), Remembered { health, checked_ns, weight: ip, priority: port })
            };
            let memory = Memory(all.into_iter().map(|(name, all)| (name, all.into_iter().map(endpoint).collect())).collect());
            prop_assert_eq!(Memory::decode(&memory.encode().unwrap()).unwrap(), memory);
        }
    }
}
