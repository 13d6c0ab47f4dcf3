//! A log on a fake disk, and what the tests do with it again and again.

use std::path::{Path, PathBuf};

use testkit::FakeDisk;
use wal::{Config, Found, OpenError, Opened, Position, open};

pub(crate) const FOLDER: &str = "/data/wal";

/// LSN, kind and payload.
pub(crate) type Record = (u64, u8, Vec<u8>);

/// Segments of 8 KiB (some 3.9 KiB of records), batches of up to 512 bytes.
pub(crate) fn config() -> Config {
    Config {
        segment_bytes_max: Config::SEGMENT_BYTES_LEAST,
        batch_bytes_max: 512,
        ..Config::new(PathBuf::from(FOLDER))
    }
}

pub(crate) fn segment_path(number: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{number:020}.wal"))
}

pub(crate) struct Log {
    pub(crate) opened: Opened<FakeDisk>,
    /// What the open delivered.
    pub(crate) found: Vec<Record>,
}

pub(crate) fn try_open(disk: &FakeDisk) -> Result<Log, OpenError> {
    open_with(disk, config())
}

pub(crate) fn open_with(disk: &FakeDisk, config: Config) -> Result<Log, OpenError> {
    let mut found = Vec::new();
    let opened = open(disk.clone(), config, &mut |record: Found<'_>| {
        found.push((record.lsn.0, record.kind, record.payload.to_vec()));
    })?;
    Ok(Log { opened, found })
}

impl Log {
    pub(crate) fn open(disk: &FakeDisk) -> Log {
        try_open(disk).unwrap()
    }

    /// Appends records and commits them.
    pub(crate) fn add(&mut self, payloads: &[Vec<u8>]) -> Vec<Position> {
        let positions = payloads.iter().map(|payload| self.opened.writer.append(1, &[payload]).unwrap().1).collect();
        self.commit();
        positions
    }

    pub(crate) fn commit(&mut self) {
        while let Some(batch) = self.opened.writer.take_batch() {
            self.opened.committer.commit(batch).unwrap();
        }
    }

    pub(crate) fn lsns(&self) -> Vec<u64> {
        self.found.iter().map(|record| record.0).collect()
    }
}

/// `n` payloads of a hundred bytes, each different.
pub(crate) fn payloads(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("{i:0100}").into_bytes()).collect()
}
