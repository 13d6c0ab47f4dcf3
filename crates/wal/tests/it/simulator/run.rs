//! One history: some lives of a log, each ending in a crash.

use std::path::PathBuf;

use stdx::io::Io;
use stdx::rng::Rng;
use testkit::{Call, FakeDisk};
use wal::{AppendError, Batch, CommitError, Committed, Config, OpenError, Opened, ReadError, open};

use super::model::{Model, Record, entry};

const LIVES: usize = 5;

fn config(rng: &mut Rng) -> Config {
    Config {
        folder: PathBuf::from("/data/wal"),
        segment_bytes_max: rng.u64(8192..16384),
        batch_bytes_max: rng.usize(256..4096),
        pending_bytes_max: 1 << 20,
        reserve_bytes: if rng.bool() { 16 << 10 } else { 0 },
    }
}

/// Runs the history that `seed` stands for; says what was wrong. `io` is `disk`, perhaps with a bug in front of it.
pub(super) fn run<D: Io>(io: D, disk: FakeDisk, seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let mut model = Model { floor: 1, floor_asked: 1, ..Model::default() };
    for _ in 0..LIVES {
        let config = config(&mut rng);
        let log = recover(&io, &disk, &config, &mut rng, &mut model)?;
        Life { log, disk: &disk, rng: &mut rng, model: &mut model, floor: 1 }.live()?;
        disk.set_capacity(None);
        if rng.u8(0..3) == 0 {
            // The process dies and the machine does not: the page cache stays, whether it is on disk or not.
            restart(&disk);
        } else {
            disk.power_cut();
        }
    }
    recover(&io, &disk, &config(&mut rng), &mut rng, &mut model).map(|_| ())
}

/// A log and what its open delivered.
type Recovered<D> = (Opened<D>, Vec<(u64, Record)>);

fn try_open<D: Io>(io: &D, config: &Config) -> Result<Recovered<D>, OpenError> {
    let mut delivered = Vec::new();
    let log = open(io.clone(), config.clone(), &mut |found| delivered.push(entry(found)))?;
    Ok((log, delivered))
}

/// Opens the log, which may be cut off by further crashes, and checks what it delivers.
fn recover<D: Io>(
    io: &D,
    disk: &FakeDisk,
    config: &Config,
    rng: &mut Rng,
    model: &mut Model,
) -> Result<Opened<D>, String> {
    while rng.u8(0..3) == 0 {
        match rng.u8(0..3) {
            0 => disk.fail(Call::Sync, 1),
            _ => disk.power_off_after(rng.u64(1..8)),
        }
        match try_open(io, config) {
            // It came through: from now on what it delivered must stay, power cut or not.
            Ok((log, delivered)) => model.recovered(&delivered, &log.report)?,
            Err(OpenError::Disk(_)) => {}
            Err(e) => return Err(format!("open fails on an honest disk: {e}")),
        }
        if rng.bool() { disk.power_cut() } else { restart(disk) }
    }
    let (log, delivered) = try_open(io, config).map_err(|e| format!("open fails: {e}"))?;
    model.recovered(&delivered, &log.report)?;
    let mut payload = Vec::new();
    for (lsn, record) in &delivered {
        let kind = log.reader.read(record.position, &mut payload).map_err(|e| format!("record {lsn}: {e}"))?;
        if (kind, &payload) != (record.kind, &record.payload) {
            return Err(format!("record {lsn} reads differently from what was recovered"));
        }
    }
    Ok(log)
}

/// The process ends and starts anew on a running machine.
fn restart(disk: &FakeDisk) {
    disk.heal();
    disk.power_off_after(1 << 40);
}

/// From an open to a crash.
struct Life<'a, D: Io> {
    log: Opened<D>,
    disk: &'a FakeDisk,
    rng: &'a mut Rng,
    model: &'a mut Model,
    /// The floor that was asked for in this life.
    floor: u64,
}

impl<D: Io> Life<'_, D> {
    fn live(mut self) -> Result<(), String> {
        self.set_fault();
        for _ in 0..self.rng.usize(1..60) {
            match self.rng.u8(0..16) {
                0..9 => self.append(),
                9..13 => {
                    if !self.commit_all()? {
                        return self.is_poisoned();
                    }
                }
                13 | 14 => self.remove(),
                _ => {
                    if self.log.committer.clean_up().is_err() {
                        return self.is_poisoned();
                    }
                }
            }
        }
        Ok(())
    }

    fn set_fault(&mut self) {
        let nth = self.rng.u32(1..30);
        match self.rng.u8(0..14) {
            0 => self.disk.fail(Call::Write, nth),
            1 | 2 => self.disk.fail(Call::Sync, nth),
            3 | 12 | 13 => self.disk.fail(Call::SyncDir, nth.div_ceil(8)),
            4 => self.disk.fail(Call::Rename, nth.div_ceil(8)),
            5 => self.disk.fail(Call::Unlink, nth.div_ceil(8)),
            6 => self.disk.set_capacity(Some(self.disk.used() + self.rng.u64(0..8192))),
            7 => self.disk.short_writes(),
            8 | 9 => self.disk.power_off_after(self.rng.u64(1..100)),
            _ => {}
        }
    }

    fn append(&mut self) {
        let len = match self.rng.u8(0..20) {
            0 => self.rng.usize(0..3900),
            1..5 => 0,
            _ => self.rng.usize(0..300),
        };
        let kind = self.rng.u8(..);
        let payload: Vec<u8> = (0..len).map(|_| self.rng.u8(..)).collect();
        let (a, b) = payload.split_at(len / 3);
        let (lsn, position) = self.log.writer.append(kind, &[a, b]).expect("nothing is full or poisoned");
        self.model.appended.insert(lsn.0, Record { kind, payload, position });
    }

    fn remove(&mut self) {
        let newest = self.log.writer.segment();
        let floor = if self.rng.bool() { newest } else { self.rng.u64(1..=newest) };
        self.log.writer.remove_segments_below(floor);
        self.floor = self.floor.max(floor);
        self.model.floor_asked = self.model.floor_asked.max(floor);
    }

    /// Commits some of what is pending; false when the log is poisoned.
    fn commit_all(&mut self) -> Result<bool, String> {
        let mut batches = self.rng.usize(1..4);
        while batches > 0
            && let Some(batch) = self.log.writer.take_batch()
        {
            batches -= 1;
            let nothing_left = self.log.writer.pending_bytes() == 0;
            let Some(committed) = self.commit(batch)? else { return Ok(false) };
            let floor = if nothing_left { self.floor } else { 1 };
            self.model.acknowledge(committed.durable.0, floor);
            self.log.writer.recycle(committed.buffer);
            self.read_back()?;
            if self.rng.bool() && self.log.committer.clean_up().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A committed record reads as it was written, whatever fails around it.
    fn read_back(&mut self) -> Result<(), String> {
        let lsn = self.rng.u64(1..=self.model.durable.max(1));
        let Some(record) = self.model.appended.get(&lsn) else { return Ok(()) };
        let mut payload = Vec::new();
        match self.log.reader.read(record.position, &mut payload) {
            Ok(kind) if kind == record.kind && payload == record.payload => Ok(()),
            Err(ReadError::Disk(_)) => Ok(()),
            Err(ReadError::NoSegment { segment }) if segment < self.model.floor_asked => Ok(()),
            other => Err(format!("record {lsn} reads as {other:?}")),
        }
    }

    /// Commits one batch; frees the disk and tries again when it is full.
    fn commit(&mut self, batch: Batch) -> Result<Option<Committed>, String> {
        match self.log.committer.commit(batch) {
            Ok(committed) => Ok(Some(committed)),
            Err(CommitError::Poisoned(_)) => Ok(None),
            Err(CommitError::DiskFull { batch, .. }) => {
                self.disk.set_capacity(None);
                match self.log.committer.commit(batch) {
                    Ok(committed) => Ok(Some(committed)),
                    Err(e) => Err(format!("a batch does not go in after the disk was full: {e}")),
                }
            }
        }
    }

    /// A stopped log stays stopped.
    fn is_poisoned(&mut self) -> Result<(), String> {
        self.disk.heal();
        match self.log.writer.append(1, &[b"late"]) {
            Err(AppendError::Poisoned(_)) => {}
            other => return Err(format!("append to a stopped log: {other:?}")),
        }
        match self.log.writer.take_batch().map(|batch| self.log.committer.commit(batch)) {
            None | Some(Err(CommitError::Poisoned(_))) => Ok(()),
            Some(other) => Err(format!("commit on a stopped log: {other:?}")),
        }
    }
}
