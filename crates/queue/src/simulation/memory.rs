//! What the clients together know of the jobs, from nothing but what they sent and heard.

use std::collections::BTreeMap;

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
    pub(super) expected: Option<(u32, &'static str)>,
    /// Counts the commands sent that change the job.
    pub(super) changes: u32,
    /// The client that holds it.
    pub(super) holder: Option<usize>,
    class: Class,
    /// Of a job of [`Class::Soon`]: its put was acknowledged, and then everything was on disk; the same of its delete.
    is_safe: bool,
    is_safely_deleted: bool,
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

/// What was sent and has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Put { body: String, pri: u32, delayed: bool, class: Class },
    Reserve,
    Delete { body: String },
    Release { body: String, pri: u32, delayed: bool },
    Bury { body: String, pri: u32 },
    Kick,
    Touch { body: String },
}

impl Known {
    fn change(&mut self) {
        self.changes += 1;
        self.expected = None;
    }

    /// The command that was sent as change number `changes` was acknowledged.
    fn settle(&mut self, changes: u32, pri: u32, state: &'static str) {
        if self.changes == changes {
            self.expected = Some((pri, state));
        }
    }
}

/// All jobs by body.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) jobs: BTreeMap<String, Known>,
    bodies: BTreeMap<u64, String>,
    epoch: u32,
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
        assert!(!job.is_deleted, "job {id} came back after its delete was acknowledged");
        assert!(job.id.is_none_or(|known| known == id), "job {body} has two ids");
        job.id = Some(id);
    }

    /// A command is sent: from now on nobody knows the state of the jobs that it changes.
    pub(super) fn sent(&mut self, asked: Asked) -> Sent {
        let body = match &asked {
            Asked::Put { body, class, .. } => {
                self.jobs.insert(body.clone(), Known { class: *class, ..Known::default() });
                Some(body)
            }
            Asked::Delete { body } => {
                self.job(body).delete_sent = true;
                Some(body)
            }
            Asked::Release { body, .. } | Asked::Bury { body, .. } => Some(body),
            // It may change any job that is not held.
            Asked::Kick => {
                self.jobs.values_mut().for_each(Known::change);
                None
            }
            Asked::Reserve | Asked::Touch { .. } => None,
        };
        let changes = body.map_or(0, |body| {
            let job = self.job(body);
            job.change();
            job.holder = None;
            job.changes
        });
        Sent { asked, changes, epoch: self.epoch }
    }

    /// An answer to what a client sent.
    pub(super) fn heard(&mut self, client: usize, sent: &Sent, head: &str, found: Option<&str>, fails: bool) {
        let Sent { asked, changes, epoch } = sent;
        match (asked, &*head.split(' ').collect::<Vec<_>>()) {
            (Asked::Put { body, pri, delayed, .. }, ["INSERTED", id]) => {
                self.seen(id.parse().unwrap(), body);
                self.job(body).is_promised = true;
                self.job(body).settle(*changes, *pri, if *delayed { "delayed" } else { "ready" });
            }
            (Asked::Reserve, ["RESERVED", id, _]) => {
                let body = found.unwrap();
                self.seen(id.parse().unwrap(), body);
                if *epoch == self.epoch {
                    let job = self.job(body);
                    assert_eq!(job.holder, None, "job {id} is held by two clients");
                    job.holder = Some(client);
                }
            }
            (Asked::Delete { body }, ["DELETED"]) => self.job(body).is_deleted = true,
            (Asked::Release { body, pri, delayed }, ["RELEASED"]) => {
                self.job(body).settle(*changes, *pri, if *delayed { "delayed" } else { "ready" });
            }
            (Asked::Bury { body, pri }, ["BURIED"]) => self.job(body).settle(*changes, *pri, "buried"),
            (Asked::Reserve, ["TIMED_OUT" | "DEADLINE_SOON"])
            | (Asked::Put { .. }, ["OUT_OF_MEMORY"])
            | (Asked::Kick, ["KICKED", _])
            | (Asked::Touch { .. }, ["TOUCHED"]) => {}
            // Only a queue whose disk has failed may say so.
            (_, ["INTERNAL_ERROR"]) if fails => {}
            // A lease that ran out before.
            (
                Asked::Delete { .. } | Asked::Release { .. } | Asked::Bury { .. } | Asked::Touch { .. },
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

    /// Everything that was said so far is on disk.
    pub(super) fn all_on_disk(&mut self) {
        for job in self.jobs.values_mut() {
            job.is_safe |= job.is_promised;
            job.is_safely_deleted |= job.is_deleted;
        }
    }

    /// What has been promised, and what stands there after a start: `look` gives the body, the priority and the state of an
    /// id. What was not promised and is lost is lost for good.
    pub(super) fn check(&mut self, mut look: impl FnMut(u64) -> Option<(String, u32, &'static str)>) {
        for (body, job) in &mut self.jobs {
            let Some(id) = job.id else { continue };
            let there = look(id);
            if let Some((found, ..)) = &there {
                assert_eq!(found, body, "job {id} has another body");
            }
            match job.class {
                Class::Disk => job.check(id, there),
                Class::Soon => {
                    assert!(!job.is_safely_deleted || there.is_none(), "job {id} is there, its delete was on disk");
                    let may_be_gone = !job.is_safe || job.delete_sent;
                    assert!(may_be_gone || there.is_some(), "job {id} was on disk and is lost");
                    job.start_again(there.is_some());
                }
                Class::Memory => {
                    assert_eq!(there, None, "job {id} was to be in memory only");
                    job.start_again(false);
                }
            }
        }
    }
}

impl Known {
    fn check(&self, id: u64, there: Option<(String, u32, &'static str)>) {
        if self.is_deleted {
            assert_eq!(there, None, "job {id} is there although its delete was acknowledged");
        } else if self.is_promised && !self.delete_sent {
            let (_, pri, state) = there.unwrap_or_else(|| panic!("job {id} was acknowledged and is lost"));
            if let Some((wanted_pri, wanted_state)) = self.expected {
                assert_eq!(pri, wanted_pri, "priority of job {id}");
                // A delayed job's time may have come.
                let came = wanted_state == "delayed" && state == "ready";
                assert!(state == wanted_state || came, "job {id} is {state}, not {wanted_state}");
            }
        }
    }

    fn start_again(&mut self, is_there: bool) {
        self.is_deleted = !is_there;
        self.is_safely_deleted = !is_there;
        self.is_promised = is_there;
        self.is_safe = is_there;
        self.delete_sent = false;
        self.expected = None;
    }
}
