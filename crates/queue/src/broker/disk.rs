//! How the queue stands with its disk: when puts are refused, and when compaction has to make room.

use stdx::io::Io;

use super::Broker;

/// Bytes of log between two looks, at most and at least.
const LOOK_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 20;

/// What the last look at the disk said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskRoom {
    /// Free then, without what was appended and not yet written; `None` when nobody knows.
    free: Option<u64>,
    /// Bytes of log written until then.
    written: u64,
}

impl<D: Io> Broker<D> {
    /// Whether there is space for more jobs. The mark to take jobs again is a little higher than that to refuse them.
    pub(crate) fn look_at_the_disk(&mut self) {
        let reserve = self.config.disk_reserve_bytes;
        let mark = if self.intake.disk_low { reserve + reserve / 8 } else { reserve };
        let free = match self.reader.free_bytes() {
            Ok(free) => Some(free.saturating_sub(self.journal.pending_bytes() as u64)),
            Err(cause) => {
                tracing::warn!(%cause, "the free space of the queue's disk is not known");
                None
            }
        };
        self.disk_room = DiskRoom { free, written: self.journal.bytes_written };
        let low = free.is_some_and(|free| free < mark);
        if low != self.intake.disk_low {
            tracing::warn!(low, reserve, "the queue's disk crossed disk_reserve_bytes");
        }
        self.intake.disk_low = low;
        // The next commit sets the reserve aside again. It must be allowed to come: the last job may have gone with the
        // space, and then nothing is left to commit but a put.
        self.intake.reserve_spent &= low;
    }

    /// Looks again once so much was written that the last look may be out of date: what one connection puts in a second is
    /// more than what is kept free.
    pub(super) fn look_again_if_much_was_written(&mut self) {
        let stride = (self.config.disk_reserve_bytes / 16).clamp(*LOOK_BYTES.start(), *LOOK_BYTES.end());
        if self.journal.bytes_written - self.disk_room.written >= stride {
            self.look_at_the_disk();
        }
    }

    /// Whether puts are refused for want of space, or soon will be: what is dead in the log is worth more then.
    pub(super) fn is_tight(&self) -> bool {
        let mark = self.config.disk_reserve_bytes.saturating_mul(2);
        self.intake.lacks_space() || self.disk_room.free.is_some_and(|free| free < mark)
    }

    /// Whether so much can be written now. What is not known is tried.
    pub(super) fn has_space_for(&mut self, bytes: u64) -> bool {
        self.look_at_the_disk();
        self.disk_room.free.is_none_or(|free| free >= bytes)
    }
}
