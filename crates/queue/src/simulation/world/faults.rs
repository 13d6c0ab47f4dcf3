//! What goes wrong, and a disk that somebody else fills: what frees space must go on.

use stdx::io::Io;
use testkit::Call;
use wal::{CommitError, Reserve};

use super::{Boundless, CLIENTS, Faults, World};
use crate::simulation::memory::Asked;

impl<D: Io> World<D> {
    pub(super) fn plan_a_fault(&mut self) {
        let nth = self.rng.u32(1..6);
        match (self.faults, self.rng.u32(..8)) {
            (Faults::PowerCuts, 0) => {
                self.disk.power_off_after(self.rng.u64(..20));
                self.may_be_dark = true;
            }
            (Faults::PowerCuts, 1) => self.disk.short_writes(),
            (Faults::Errors, 0) => self.disk.fail(Call::Sync, nth),
            (Faults::Errors, 1) => self.disk.fail(Call::Write, nth),
            (Faults::Errors, 2) => {
                self.disk.fail([Call::SyncDir, Call::Rename, Call::Create, Call::Unlink][nth as usize % 4], 1)
            }
            (Faults::FullDisk, 0..=2) => {
                let more = [0, 600, 8_000, 40_000, 200_000][self.rng.usize(..5)];
                self.disk.set_capacity(Some(self.disk.used() + self.rng.u64(..=more)));
            }
            (Faults::FullDisk, 3) => self.disk.set_capacity(None),
            _ => {}
        }
    }

    /// What the queue does once a second: it looks at its disk, and makes room where that is short.
    pub(super) fn keep_house(&mut self) {
        self.queue.broker.look_at_the_disk();
        while self.queue.broker.compact_if_tight() {}
    }

    /// Everything that was appended goes to the disk; says whether it did.
    fn settle(&mut self) -> bool {
        const BATCHES_MAX: usize = 1_000;
        for _ in 0..BATCHES_MAX {
            let queue = &mut self.queue;
            let Some(batch) = queue.in_flight.take().or_else(|| queue.broker.next_batch_now()) else {
                self.memory.all_on_disk();
                return true;
            };
            match queue.committer.commit(batch) {
                Ok(committed) => {
                    queue.broker.committed(committed);
                    if queue.committer.clean_up().is_err() {
                        queue.is_over = true;
                        return false;
                    }
                }
                Err(CommitError::DiskFull { batch, .. }) => {
                    queue.broker.intake_mut().disk_full = true;
                    queue.in_flight = Some(batch);
                    return false;
                }
                Err(CommitError::Poisoned(cause)) => {
                    queue.broker.fail(&cause.to_string());
                    queue.is_over = true;
                    return false;
                }
            }
        }
        false
    }

    /// Somebody else takes the disk to its last byte while the log has its reserve. Everybody who holds a job deletes it or
    /// puts it aside, and is answered.
    pub(super) fn fill_to_the_last_byte(&mut self) {
        let kept = self.settle() && self.queue.committer.reserve() == Reserve::Kept;
        self.listen();
        if !kept || self.queue.is_over {
            return;
        }
        self.disk.set_capacity(Some(self.disk.used()));
        let now = self.now();
        for who in 0..CLIENTS {
            let held = self.memory.jobs.iter().find(|(_, job)| job.holder == Some(who));
            let Some((body, id)) = held.map(|(body, job)| (body.clone(), job.id.unwrap_or_default())) else { continue };
            if self.clients[who].sent.is_some() {
                continue;
            }
            let (asked, line) = match self.rng.u32(..3) {
                0 => (Asked::Bury { body, pri: 4 }, format!("bury {id} 4\r\n")),
                _ => (Asked::Delete { body }, format!("delete {id}\r\n")),
            };
            let sent = self.memory.sent(asked, now.wall.millis());
            let client = &mut self.clients[who];
            client.sent = Some(sent);
            client.session.input.push(line.as_bytes());
            client.session.advance(&mut self.queue.broker, &Boundless, now);
            assert!(self.settle(), "with its reserve the log takes a {line:?} on a full disk");
            self.listen();
            assert!(self.clients[who].sent.is_none(), "{line:?} is answered on a full disk");
        }
        self.filled += 1;
        if self.rng.bool() {
            self.disk.set_capacity(None);
        }
    }
}
