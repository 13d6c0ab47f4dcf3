//! How fast a tube's jobs are handed out, and how many may be out at once.
//!
//! A tube without such limits is not looked at. The rate is that of the generic cell rate algorithm: after a rest, as many
//! jobs as one second has may go at once.

use std::time::Duration;

use stdx::clock::Mono;

use super::{Engine, ReadyKey, Tube, TubeIx};

const SECOND_NS: u64 = 1_000_000_000;

/// What a tube has handed out, as far as its limits need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// When the next job would be due if they went one by one.
    next: Mono,
    /// The entry of this tube among the engine's rate alarms.
    alarm: Option<Mono>,
}

impl Flow {
    /// The earliest time at which another job may go.
    fn opens_at(self, rate_per_s: u32) -> Mono {
        let interval = SECOND_NS / u64::from(rate_per_s);
        Mono(self.next.0.saturating_sub(SECOND_NS - interval))
    }

    fn take(&mut self, rate_per_s: u32, now: Mono) {
        let interval = SECOND_NS / u64::from(rate_per_s);
        self.next = Mono(self.next.0.max(now.0) + interval);
    }
}

impl Tube {
    /// The next job that a client would get now.
    pub(crate) fn first_ready(&self, now: Mono) -> Option<ReadyKey> {
        let config = &self.config;
        let is_full = config.in_flight_max > 0 && self.figures.reserved >= u64::from(config.in_flight_max);
        if self.pause.is_some() || is_full || self.is_closed(now) {
            return None;
        }
        self.ready.first().copied()
    }

    /// Whether its rate lets no job go now.
    fn is_closed(&self, now: Mono) -> bool {
        self.config.rate_per_s > 0 && now < self.flow.opens_at(self.config.rate_per_s)
    }
}

impl Engine {
    /// A job of the tube was handed out.
    pub(super) fn count_hand_out(&mut self, ix: TubeIx) {
        let now = self.now.mono;
        let tube = self.tube_mut(ix);
        if tube.config.rate_per_s > 0 {
            tube.flow.take(tube.config.rate_per_s, now);
        }
    }

    /// A reservation of the tube has ended: where their number is limited, the next one may begin.
    pub(super) fn count_return(&mut self, ix: TubeIx) {
        if self.tube(ix).config.in_flight_max > 0 {
            self.freed.push(ix);
        }
    }

    /// Hands out what the ends of reservations have made possible.
    pub(super) fn offer_freed(&mut self) {
        while let Some(ix) = self.freed.pop() {
            // It may have gone with its last job.
            if self.tubes.contains(ix.0 as usize) {
                self.offer(ix);
            }
        }
    }

    /// Somebody waits for a job of the tube that its rate does not let go yet: then is the time to look again.
    pub(super) fn set_rate_alarm(&mut self, ix: TubeIx) {
        let now = self.now.mono;
        let tube = self.tube(ix);
        if !tube.is_closed(now) || tube.ready.first().is_none() || tube.waiting.is_empty() || tube.flow.alarm.is_some()
        {
            return;
        }
        let at = tube.flow.opens_at(tube.config.rate_per_s);
        self.tube_mut(ix).flow.alarm = Some(at);
        self.rate_alarms.insert((at, ix));
    }

    /// A tube is going.
    pub(super) fn forget_rate_alarm(&mut self, tube: &Tube, ix: TubeIx) {
        if let Some(at) = tube.flow.alarm {
            self.rate_alarms.remove(&(at, ix));
        }
    }

    /// Lets the next tube go on whose time has come; says whether there was one.
    pub(super) fn open_a_tube(&mut self, now: Mono) -> bool {
        let Some(&(at, ix)) = self.rate_alarms.first() else { return false };
        if at > now {
            return false;
        }
        self.rate_alarms.remove(&(at, ix));
        self.tube_mut(ix).flow.alarm = None;
        self.offer(ix);
        true
    }

    /// How long until then.
    pub(super) fn next_opening(&self, now: Mono) -> Option<Duration> {
        self.rate_alarms.first().map(|(at, _)| at.since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn in_no_stretch_of_time_more_go_than_its_seconds_and_one_more_allow(
            rate in 1u32..50,
            waits in proptest::collection::vec(0u64..2_000_000_000, 1..200),
        ) {
            let mut flow = Flow::default();
            let mut now = Mono(10 * SECOND_NS);
            let mut gone: Vec<u64> = Vec::new();
            for wait in waits {
                now = Mono(now.0 + wait);
                if now >= flow.opens_at(rate) {
                    flow.take(rate, now);
                    gone.push(now.0);
                }
            }
            for (first, from) in gone.iter().enumerate() {
                for (last, to) in gone.iter().enumerate().skip(first) {
                    let allowed = f64::from(rate) * ((to - from) as f64 / SECOND_NS as f64 + 1.0);
                    prop_assert!((last - first + 1) as f64 <= allowed + 1.0 + 1e-6);
                }
            }
        }
    }
}
