//! Bugs that the simulator must find: those of [`testkit::Plant`], between queue and disk, and some of the queue's own.

/// A bug that is not the disk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Answers leave when the batch goes to the committer.
    AcknowledgedBeforeCommit,
    /// A checkpoint says that it knows of records that came after it.
    CheckpointAheadOfLog,
    /// The end of the log is believed although its checksums do not hold.
    TornTailAccepted,
    /// A checkpoint does not tell of keys, so that a start has only those of the records behind it.
    KeysNotInCheckpoint,
    /// After a start ids are given on from the newest job that there is.
    IdsOfGoneJobsForgotten,
    /// Far jobs that came back or changed while a checkpoint was written are believed to be as it says.
    ChangedJobsGoFar,
    /// A checkpoint does not tell of far jobs that one before it had.
    FarJobsLeftOut,
}

impl Bug {
    pub(super) const ALL: [Bug; 7] = [
        Bug::AcknowledgedBeforeCommit,
        Bug::CheckpointAheadOfLog,
        Bug::TornTailAccepted,
        Bug::KeysNotInCheckpoint,
        Bug::IdsOfGoneJobsForgotten,
        Bug::ChangedJobsGoFar,
        Bug::FarJobsLeftOut,
    ];
}

/// Makes the checksums of a log's torn end hold, as a recovery would have it that does not look at them.
pub(super) mod torn {
    use std::path::Path;

    use testkit::FakeDisk;

    /// Where the first batch starts, see `docs/formats/wal.md`.
    const DATA: usize = 4160;
    const BATCH: usize = 40;
    const FRAME: usize = 17;

    pub(crate) fn accept(disk: &FakeDisk, queue: &Path) {
        let log = queue.join("log");
        let last = disk
            .paths()
            .into_iter()
            .rfind(|path| path.starts_with(&log) && path.extension().is_some_and(|kind| kind == "wal"));
        let Some(path) = last else { return };
        let Some(mut bytes) = disk.contents(&path) else { return };
        if bytes.len() < DATA {
            return;
        }
        let seed = crc32c::crc32c_append(crc32c::crc32c(&bytes[16..32]), &bytes[32..40]);
        let mut at = DATA;
        while let Some(end) = batch_end(&bytes, at) {
            sign(&mut bytes[..end], at, seed);
            at = end;
        }
        disk.place(&path, bytes);
    }

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn batch_end(bytes: &[u8], at: usize) -> Option<usize> {
        let head = bytes.get(at..at + BATCH)?;
        let end = at + BATCH + u32_at(head, 4);
        (head[0] == 0xFB && end <= bytes.len()).then_some(end)
    }

    fn sign(bytes: &mut [u8], at: usize, seed: u32) {
        let place = |at: usize| crc32c::crc32c_append(seed, &(at as u32).to_le_bytes());
        let mut frame = at + BATCH;
        while frame + FRAME <= bytes.len() && frame + FRAME + u32_at(bytes, frame) <= bytes.len() {
            let end = frame + FRAME + u32_at(bytes, frame);
            let crc = crc32c::crc32c_append(
                crc32c::crc32c_append(place(frame), &bytes[frame..frame + 4]),
                &bytes[frame + 8..end],
            );
            bytes[frame + 4..frame + 8].copy_from_slice(&crc.to_le_bytes());
            frame = end;
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(place(at), &bytes[at..at + 32]), &bytes[at + BATCH..]);
        bytes[at + 32..at + 36].copy_from_slice(&crc.to_le_bytes());
        let head = crc32c::crc32c_append(place(at), &bytes[at..at + 36]);
        bytes[at + 36..at + 40].copy_from_slice(&head.to_le_bytes());
    }
}
