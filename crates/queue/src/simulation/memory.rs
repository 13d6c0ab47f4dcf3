//! What the clients together know of the jobs, from nothing but what they sent and heard.

use std::collections::BTreeMap;

use super::client::{DEAD, TRIES};
use super::keys::{Asks, KeyedPut};

/// What its tube promises of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Class {
    /// What is acknowledged stays.
    #[default]
    Disk,
    /// It stays once everything was on disk after it was acknowledged.
    Soon,
    /// Nothing stays.
    Memory,
}

/// A job as its clients know it. Bodies are unique, so a body tells which job it is.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) id: Option<u64>,
    /// The put was acknowledged.
    pub(super) is_promised: bool,
    /// A delete was sent; the job may or may not be there.
    pub(super) delete_sent: bool,
    /// A delete was acknowledged; the job must never be seen again.
    pub(super) is_deleted: bool,
    /// What the last acknowledged command left, `None` while nobody can know.
    pub(super) expected: Option<Expected>,
    /// The tube that the job is in, `None` while nobody can know.
    tube: Option<&'static str>,
    /// How often the job is known to have been handed out.
    reserves: u32,
    /// What its put asked for beside the usual.
    pub(super) put: KeyedPut,
    /// Counts the commands sent that change the job.
    pub(super) changes: u32,
    /// The client that holds it.
    pub(super) holder: Option<usize>,
    pub(super) class: Class,
    /// Of a job of [`Class::Soon`]: its put was acknowledged, and then everything was on disk; the same of its delete.
    pub(super) is_safe: bool,
    is_safely_deleted: bool,
    /// Counts against the changes: when it was put and when its delete was acknowledged, in turns of the memory.
    pub(super) promised_turn: u64,
    pub(super) deleted_turn: u64,
}

/// What a job must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// `None` where the command did not say it.
    pri: Option<u32>,
    state: &'static str,
}

/// What stands there of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) body: String,
    pub(crate) pri: u32,
    pub(crate) state: &'static str,
    pub(crate) tube: String,
    pub(crate) reserves: u32,
}

/// A command on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) asked: Asked,
    /// The changes of its job when it was sent.
    changes: u32,
    /// Turned over when all leases run out.
    epoch: u32,
}

/// What was sent and has no answer yet. A job that is peeked at and must be there is surely there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Put { body: String, pri: u32, delayed: bool, class: Class, tube: &'static str, asks: Asks },
    Reserve,
    Delete { body: String },
    Release { body: String, pri: u32, delayed: bool },
    Bury { body: String, pri: u32 },
    Fail { body: String },
    Kick,
    KickJob { body: String },
    Touch { body: String },
    Peek { body: String, must: bool },
}

impl Known {
    /// It was put, and nobody wanted it to go.
    pub(super) fn must_be_there(&self) -> bool {
        self.is_promised && !self.delete_sent && !self.is_deleted
    }

    fn change(&mut self) {
        self.changes += 1;
        self.expected = None;
    }

    /// The command that was sent as change number `changes` was acknowledged.
    fn settle(&mut self, changes: u32, pri: impl Into<Option<u32>>, state: &'static str) {
        if self.changes == changes {
            self.expected = Some(Expected { pri: pri.into(), state });
        }
    }

    /// It had its last attempt: it is ready in the tube of the dead.
    fn died(&mut self, changes: u32, pri: Option<u32>) {
        self.tube = (self.changes == changes).then_some(DEAD);
        self.settle(changes, pri, "ready");
    }
}

/// All jobs by body.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) jobs: BTreeMap<String, Known>,
    pub(super) bodies: BTreeMap<u64, String>,
    epoch: u32,
    /// Counts what is sent and heard.
    pub(super) turn: u64,
}

impl Memory {
    pub(super) fn job(&mut self, body: &str) -> &mut Known {
        self.jobs.get_mut(body).unwrap_or_else(|| panic!("{body:?} was never put"))
    }

    /// A job was seen with an id: no other may ever have it.
    pub(super) fn seen(&mut self, id: u64, body: &str) {
        let known = self.bodies.entry(id).or_insert_with(|| body.to_owned());
        assert_eq!(known, body, "id {id} was given twice");
        let job = self.job(body);
        assert!(!job.put.is_nowhere, "job {id} was put although its put was answered otherwise");
        assert!(!job.is_deleted, "job {id} came back after its delete was acknowledged");
        assert!(job.id.is_none_or(|known| known == id), "job {body} has two ids");
        job.id = Some(id);
    }

    /// A command is sent: from now on nobody knows the state of the jobs that it changes.
    pub(super) fn sent(&mut self, asked: Asked, now_ms: u64) -> Sent {
        self.turn += 1;
        let body = match &asked {
            Asked::Put { body, class, tube, asks, .. } => {
                let put = KeyedPut::sent(tube, asks, self.turn, now_ms);
                let known = Known { class: *class, tube: Some(tube), put, ..Known::default() };
                self.jobs.insert(body.clone(), known);
                Some(body)
            }
            Asked::Delete { body } => {
                self.job(body).delete_sent = true;
                Some(body)
            }
            Asked::Release { body, .. } | Asked::Bury { body, .. } | Asked::Fail { body } | Asked::KickJob { body } => {
                Some(body)
            }
            // It may change any job that is not held.
            Asked::Kick => {
                self.jobs.values_mut().for_each(Known::change);
                None
            }
            Asked::Reserve | Asked::Touch { .. } | Asked::Peek { .. } => None,
        };
        let may_end = matches!(asked, Asked::Release { .. } | Asked::Fail { .. });
        let changes = body.map_or(0, |body| {
            let job = self.job(body);
            job.change();
            job.holder = None;
            // It may be its last attempt, and the answer may never be heard.
            if job.put.tube == TRIES {
                job.tube = job.tube.filter(|_| !may_end);
            }
            job.changes
        });
        Sent { asked, changes, epoch: self.epoch }
    }

    /// An answer to what a client sent.
    pub(super) fn heard(&mut self, client: usize, sent: &Sent, head: &str, found: Option<&str>, fails: bool) {
        let Sent { asked, changes, epoch } = sent;
        self.turn += 1;
        match (asked, &*head.split(' ').collect::<Vec<_>>()) {
            (Asked::Put { body, pri, delayed, .. }, ["INSERTED", id]) => {
                if !self.is_its_own(id.parse().unwrap(), body) {
                    return;
                }
                self.seen(id.parse().unwrap(), body);
                self.job(body).is_promised = true;
                self.job(body).put.has_window = true;
                self.job(body).promised_turn = self.turn;
                self.job(body).settle(*changes, *pri, if *delayed { "delayed" } else { "ready" });
            }
            (Asked::Reserve, ["RESERVED", id, _]) => {
                let body = found.unwrap();
                self.seen(id.parse().unwrap(), body);
                self.check_order(body);
                self.job(body).reserves += 1;
                if *epoch == self.epoch {
                    let job = self.job(body);
                    assert_eq!(job.holder, None, "job {id} is held by two clients");
                    job.holder = Some(client);
                }
            }
            (Asked::Delete { body }, ["DELETED"]) => {
                self.job(body).is_deleted = true;
                self.job(body).deleted_turn = self.turn;
            }
            (Asked::Release { body, pri, delayed }, ["RELEASED"]) => {
                self.job(body).settle(*changes, *pri, if *delayed { "delayed" } else { "ready" });
            }
            (Asked::Bury { body, pri }, ["BURIED"]) => self.job(body).settle(*changes, *pri, "buried"),
            (Asked::KickJob { body }, ["KICKED"]) => self.job(body).settle(*changes, None, "ready"),
            (Asked::Peek { body, .. }, ["FOUND", id, _]) => {
                assert_eq!(found, Some(body.as_str()), "job {id} has another body");
            }
            (Asked::Peek { must: false, .. }, ["NOT_FOUND"]) => {}
            (Asked::Fail { body }, ["FAILED"]) => self.job(body).settle(*changes, None, "ready"),
            (Asked::Release { body, pri, .. }, ["BURIED"]) => self.job(body).died(*changes, Some(*pri)),
            (Asked::Fail { body }, ["BURIED"]) => self.job(body).died(*changes, None),
            (Asked::Put { body, .. }, ["OUT_OF_MEMORY"]) => self.job(body).put.is_nowhere = true,
            (Asked::Reserve, ["TIMED_OUT" | "DEADLINE_SOON"])
            | (Asked::Kick, ["KICKED", _])
            | (Asked::Touch { .. }, ["TOUCHED"]) => {}
            // Only a queue whose disk has failed may say so.
            (_, ["INTERNAL_ERROR"]) if fails => {}
            // A lease that ran out before.
            (
                Asked::Delete { .. }
                | Asked::Release { .. }
                | Asked::Bury { .. }
                | Asked::Fail { .. }
                | Asked::KickJob { .. }
                | Asked::Touch { .. },
                ["NOT_FOUND"],
            ) => {}
            (asked, answer) => panic!("{answer:?} is no answer to {asked:?}"),
        }
    }

    /// All leases are gone.
    pub(super) fn everybody_left(&mut self) {
        self.epoch += 1;
        self.jobs.values_mut().for_each(|job| job.holder = None);
    }

    /// The leases of all jobs ran out: those that had their last attempt are dead.
    pub(super) fn leases_ran_out(&mut self) {
        self.everybody_left();
        self.anybody_may_have_moved();
    }

    /// Nobody knows which jobs with few attempts are dead.
    pub(super) fn anybody_may_have_moved(&mut self) {
        for job in self.jobs.values_mut().filter(|job| job.put.tube == TRIES) {
            job.change();
            job.tube = None;
        }
    }

    /// Everything that was said so far is on disk.
    pub(super) fn all_on_disk(&mut self) {
        for job in self.jobs.values_mut() {
            job.is_safe |= job.is_promised;
            job.is_safely_deleted |= job.is_deleted;
        }
    }

    /// What has been promised, and what stands there after a start. What was not promised and is lost is lost for good.
    pub(super) fn check(&mut self, mut look: impl FnMut(u64) -> Option<Look>) {
        for (body, job) in &mut self.jobs {
            let Some(id) = job.id else { continue };
            let there = look(id);
            if let Some(found) = &there {
                assert_eq!(&found.body, body, "job {id} has another body");
            }
            match job.class {
                Class::Disk => job.check(id, there.as_ref()),
                Class::Soon => {
                    assert!(!job.is_safely_deleted || there.is_none(), "job {id} is there, its delete was on disk");
                    let may_be_gone = !job.is_safe || job.delete_sent;
                    assert!(may_be_gone || there.is_some(), "job {id} was on disk and is lost");
                    job.start_again(there.is_some());
                }
                Class::Memory => {
                    assert_eq!(there, None, "job {id} was to be in memory only");
                    job.is_safe = false;
                    job.start_again(false);
                }
            }
        }
    }
}

impl Known {
    fn check(&mut self, id: u64, there: Option<&Look>) {
        if self.is_deleted {
            assert_eq!(there, None, "job {id} is there although its delete was acknowledged");
        } else if self.is_promised && !self.delete_sent {
            let found = there.unwrap_or_else(|| panic!("job {id} was acknowledged and is lost"));
            // The count of the last delivery may be lost, that of the one before is on disk.
            let counted = found.reserves + 1 >= self.reserves;
            assert!(counted, "job {id} was delivered {} times, known are {}", self.reserves, found.reserves);
            if let Some(Expected { pri, state }) = self.expected {
                assert_eq!(found.pri, pri.unwrap_or(found.pri), "priority of job {id}");
                // A delayed job's time may have come.
                let came = state == "delayed" && found.state == "ready";
                assert!(found.state == state || came, "job {id} is {}, not {state}", found.state);
                assert_eq!(found.tube, self.tube.unwrap_or(&found.tube), "tube of job {id}");
            }
        }
        if let Some(found) = there {
            self.reserves = found.reserves;
            self.tube = super::client::tube_named(&found.tube);
        }
    }

    fn start_again(&mut self, is_there: bool) {
        self.put.has_window &= self.is_safe;
        self.put.is_lost |= !is_there && !self.delete_sent && !self.is_deleted;
        self.is_deleted = !is_there;
        self.is_safely_deleted = !is_there;
        self.is_promised = is_there;
        self.is_safe = is_there;
        self.delete_sent = false;
        self.expected = None;
    }
}
