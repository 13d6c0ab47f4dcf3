//! What time alone changes: leases and waits on the monotonic clock, delays and pauses on the wall clock.

use std::time::Duration;

use stdx::clock::Wall;

use super::job::Lease;
use super::row::WHEN_MAX;
use super::{After, Engine, Event, Now, Pause, TubeIx};
use crate::names::JobId;

/// Behind all others, until the caller knows the LSN of the record and buries the job with that.
const LAST_TURN: u64 = WHEN_MAX;

impl Engine {
    /// Lets everything happen that is due. At most `steps` things are done, so that a million jobs due in one second
    /// do not stop the clients; says whether more is due.
    pub(crate) fn tick(&mut self, now: Now, steps: usize) -> bool {
        self.now = now;
        self.keys.expire(now.wall.millis());
        for _ in 0..steps {
            if !(self.end_a_lease(now) || self.end_a_wait(now) || self.wake_a_tube(now) || self.open_a_tube(now.mono)) {
                return false;
            }
        }
        true
    }

    /// How long nothing will happen by itself; `None` when nothing ever will.
    pub(crate) fn idle_for(&self, now: Now) -> Option<Duration> {
        let lease = self.leases.first().map(|&(at, _)| at);
        let wait = self.wait_alarms.first().map(|&(at, _)| at);
        let mono = lease.into_iter().chain(wait).min().map(|at| at.since(now.mono));
        let wall = self.tube_alarms.first().map(|&(ms, _)| Wall::from_millis(ms).since(now.wall));
        mono.into_iter().chain(wall).chain(self.next_opening(now.mono)).min()
    }

    /// `pause-tube`: until then nobody gets a job of the tube. A pause that is over already only counts.
    pub(crate) fn pause(&mut self, ix: TubeIx, pause: Pause) {
        self.tube_mut(ix).pause = Some(pause);
        self.set_tube_alarm(ix);
    }

    /// Keeps the tube's alarm in step with its first delayed job and its pause.
    pub(super) fn set_tube_alarm(&mut self, ix: TubeIx) {
        let tube = self.tube_mut(ix);
        let next = tube.next_alarm_ms();
        let before = std::mem::replace(&mut tube.alarm_ms, next);
        if before != next {
            if let Some(ms) = before {
                self.tube_alarms.remove(&(ms, ix));
            }
            if let Some(ms) = next {
                self.tube_alarms.insert((ms, ix));
            }
        }
    }

    fn end_a_lease(&mut self, now: Now) -> bool {
        let Some(&(deadline, id)) = self.leases.first() else { return false };
        if deadline > now.mono {
            return false;
        }
        self.lease_over(id, now);
        true
    }

    fn lease_over(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(id) else { return };
        if let Some(mut facts) = self.jobs.facts_mut(id) {
            facts.counts.timeouts += 1;
        }
        let (tube, lease) = (job.tube, job.state.lease());
        self.count_timeout(tube);
        let after = self.after_attempt(id, tube, now);
        // Told first: making it ready may give it to somebody else at once.
        if let Some(Lease { by, .. }) = lease {
            self.events.push_back(Event::LeaseOver { job: id, by, after });
        }
        match after {
            After::Ready => self.make_ready(id),
            After::Delayed { until_ms } => self.delay(id, until_ms),
            After::Buried => self.bury(id, LAST_TURN),
        }
    }

    /// Counts a lease that ran out.
    pub(crate) fn count_timeout(&mut self, tube: TubeIx) {
        self.both_totals(tube, |totals| totals.timeouts += 1);
    }

    fn end_a_wait(&mut self, now: Now) -> bool {
        let Some(&(at, client)) = self.wait_alarms.first() else { return false };
        if at > now.mono {
            return false;
        }
        let alarm = self.client(client).wait.and_then(|wait| wait.alarm);
        self.stop_waiting(client);
        if let Some((_, why)) = alarm {
            self.events.push_back(Event::WaitOver { client, why });
        }
        true
    }

    fn wake_a_tube(&mut self, now: Now) -> bool {
        let Some(&(ms, ix)) = self.tube_alarms.first() else { return false };
        if ms > now.wall.millis() {
            return false;
        }
        let tube = self.tube_mut(ix);
        if tube.far_alarm_ms.is_some_and(|at| at <= ms) {
            tube.far_alarm_ms = None;
            self.set_tube_alarm(ix);
            self.events.push_back(Event::Far { tube: ix });
        } else if tube.pause.as_ref().is_some_and(|pause| pause.until_ms <= ms) {
            tube.pause = None;
            self.set_tube_alarm(ix);
            self.offer(ix);
            self.forget_if_empty(ix);
        } else if let Some(&(_, id)) = tube.delayed.first() {
            self.make_ready(id);
        }
        true
    }
}
