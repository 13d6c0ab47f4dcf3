//! A crash, and what must be there after it.

use std::path::Path;

use stdx::io::Io;
use testkit::FakeDisk;

use super::{FOLDER, Faults, Queue, World};
use crate::names::JobId;
use crate::simulation::bugs::{Bug, torn};
use crate::simulation::client::SimClient;

impl<D: Io> World<D> {
    /// The power is cut, the queue starts again, and what was promised is looked for.
    pub(super) fn crash(&mut self) {
        self.moved += self.queue.broker.moved();
        self.sent_far += self.queue.broker.sent_far();
        if !self.may_be_dark && self.rng.u32(..4) == 0 {
            // Only the process dies: what it wrote is in the cache, synced or not.
            self.disk.heal();
        } else {
            self.disk.power_cut();
        }
        self.may_be_dark = false;
        self.disk.set_capacity(None);
        if self.rng.u32(..6) == 0 {
            self.spoil_a_checkpoint();
        }
        if self.bug == Some(Bug::TornTailAccepted) {
            torn::accept(&self.disk, Path::new(FOLDER));
        }
        // A queue that a bug or a full disk made forget something may find it again in one of the two.
        let log_alone = (self.bug.is_none() && self.faults != Faults::FullDisk).then(|| self.read_the_log_alone());
        self.queue = Queue::open(&self.io);
        if let Some(log_alone) = log_alone {
            let from_checkpoint = self.queue.dump(self.now());
            let differ = |one: &[String], other: &[String]| -> Vec<String> {
                one.iter().filter(|line| !other.contains(line)).cloned().collect()
            };
            let (more, less) = (differ(&from_checkpoint, &log_alone), differ(&log_alone, &from_checkpoint));
            assert_eq!(more, less, "a start from a checkpoint is to be one from the log alone");
        }
        if self.bug == Some(Bug::IdsOfGoneJobsForgotten) {
            self.queue.broker.forget_ids();
        }
        self.memory.everybody_left();
        for (who, client) in self.clients.iter_mut().enumerate() {
            *client = SimClient::new(self.queue.broker.connect(), who);
        }
        let broker = &mut self.queue.broker;
        self.memory.check(|id| broker.look(JobId(id)));
    }

    /// The newest checkpoint gets a flipped bit: the one before has to do, or the log alone.
    fn spoil_a_checkpoint(&mut self) {
        let paths = self.disk.paths();
        if let Some(path) = paths.iter().rfind(|path| path.extension().is_some_and(|kind| kind == "index")) {
            let len = self.disk.contents(path).map_or(0, |bytes| bytes.len());
            self.disk.flip_bit(path, self.rng.usize(..len.max(1)), self.rng.u8(..8));
        }
    }

    /// What a start would find that had no checkpoint.
    fn read_the_log_alone(&self) -> Vec<String> {
        let copy = FakeDisk::new(0);
        for path in self.disk.paths().iter().filter(|path| path.extension().is_none_or(|kind| kind != "index")) {
            copy.place(path, self.disk.contents(path).expect("a file that was just listed"));
        }
        Queue::open(&copy).dump(self.now())
    }
}
