//! When to check an endpoint, and what its answers mean: rise, fall, and an interval with jitter. Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::clock::Mono;
use stdx::rng::Rng;

use crate::probe::Failure;

/// Between two checks of an endpoint that is starting: a start is noticed quickly.
const STARTING_INTERVAL: Duration = Duration::from_millis(100);
/// The longer a start takes the rarer it is asked about: this part of the time that has passed.
const STARTING_SHARE: u32 = 10;
/// An endpoint that somebody else had trouble with is checked after this part of its interval, and so often until it
/// answers well or is found dead.
const SUSPECT_SHARE: u32 = 5;
/// The longest that this part may be.
const SUSPECT_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Intervals without an answer after which the silence is an alarm.
const INTERVALS_MISSED: u32 = 3;

/// How one endpoint is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one check's answer to the next check, jittered by a tenth both ways.
    pub interval: Duration,
    /// Time for one answer.
    pub timeout: Duration,
    /// Good answers in a row that make an endpoint healthy; 0 counts as 1.
    pub rise: u16,
    /// Bad answers in a row that make it unhealthy; 0 counts as 1.
    pub fall: u16,
}

impl Settings {
    fn suspect_interval(&self) -> Duration {
        (self.interval / SUSPECT_SHARE).min(SUSPECT_INTERVAL_MAX)
    }

    /// How old the last answer may be; beyond it nobody has checked for three intervals, and that is an alarm.
    pub fn silence_max(&self) -> Duration {
        self.interval.saturating_mul(INTERVALS_MISSED).saturating_add(self.timeout)
    }
}

/// What is believed about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not enough answers yet.
    #[default]
    Unknown,
    /// It can take requests.
    Healthy,
    /// It cannot.
    Unhealthy,
}

impl fmt::Display for Health {
    /// `unknown`, `healthy`, `unhealthy`: the words of `forebay ps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Health::Unknown => "unknown",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        })
    }
}

/// A change of what is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What was believed until now.
    pub from: Health,
    /// What is believed from now on, never the same as `from`.
    pub to: Health,
    /// The last bad answer, when `to` is unhealthy.
    pub reason: Option<Failure>,
}

/// The checker of one endpoint.
///
/// Its owner asks [`due`](Checker::due), calls [`begin`](Checker::begin), probes, and hands the result to
/// [`on_answer`](Checker::on_answer); one check is under way at a time.
#[derive(Clone, Debug)]
pub struct Checker {
    settings: Settings,
    health: Health,
    /// What the latest answers say, and how many of them in a row.
    streak: (Health, u16),
    /// Since when it starts; `None` when it has been healthy once.
    starting: Option<Mono>,
    /// Somebody else had trouble with it, and it has not answered well since.
    suspect: bool,
    under_way: bool,
    /// The last answer, or the beginning.
    heard: Mono,
    next: Mono,
}

impl Checker {
    /// A checker of an endpoint that nothing is known about; its first check is due at once.
    pub fn new(settings: Settings, now: Mono) -> Checker {
        Checker {
            settings,
            health: Health::Unknown,
            streak: (Health::Unknown, 0),
            starting: Some(now),
            suspect: false,
            under_way: false,
            heard: now,
            next: now,
        }
    }

    /// A checker of one among many that begin at the same moment, with what is remembered of it from before a restart.
    /// Its first check falls anywhere within one interval, so that a restarted node does not ask everybody at once.
    pub fn resume(settings: Settings, health: Health, now: Mono, rng: &mut Rng) -> Checker {
        let next = now + settings.interval.mul_f64(rng.f64());
        let starting = (health == Health::Unknown).then_some(now);
        Checker { health, streak: (health, 0), starting, next, ..Checker::new(settings, now) }
    }

    /// What is believed now.
    pub fn health(&self) -> Health {
        self.health
    }

    /// How it is checked.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes on with other settings; what is believed stays.
    pub fn reconfigure(&mut self, settings: Settings, now: Mono) {
        let latest = now + settings.interval;
        self.settings = settings;
        self.next = self.next.min(latest);
    }

    /// Whether a check should begin now.
    pub fn due(&self, now: Mono) -> bool {
        !self.under_way && now >= self.next
    }

    /// When the next check is due; `None` while one is under way.
    pub fn due_at(&self) -> Option<Mono> {
        (!self.under_way).then_some(self.next)
    }

    /// Notes that a check has begun; nothing is due until its answer is in.
    pub fn begin(&mut self) {
        self.under_way = true;
    }

    /// Somebody else had trouble with the endpoint: the next check comes early, yet never sooner than a fifth of the
    /// interval or a second (give or take a tenth) after the last answer, however much trouble is reported.
    pub fn suspect(&mut self, now: Mono, rng: &mut Rng) {
        if !self.suspect {
            self.suspect = true;
            let early = self.heard + jittered(self.settings.suspect_interval(), rng);
            self.next = self.next.min(early.max(now));
        }
    }

    /// Takes a check's answer, arranges the next check, and tells when the belief changes.
    pub fn on_answer(&mut self, now: Mono, answer: Result<(), Failure>, rng: &mut Rng) -> Option<Transition> {
        self.under_way = false;
        self.heard = now;
        // What is known to be down is not suspected any more, and is asked at the usual pace.
        self.suspect &= answer.is_err() && self.health == Health::Healthy;
        let transition = self.judge(answer);
        let Settings { interval, .. } = self.settings;
        let wait = match self.starting {
            Some(began) => interval.min(STARTING_INTERVAL.max(now.since(began) / STARTING_SHARE)),
            None if self.suspect => self.settings.suspect_interval(),
            None => interval,
        };
        self.next = now + jittered(wait, rng);
        transition
    }

    fn judge(&mut self, answer: Result<(), Failure>) -> Option<Transition> {
        let (to, needed, reason) = match answer {
            Ok(()) => (Health::Healthy, self.settings.rise, None),
            Err(failure) => (Health::Unhealthy, self.settings.fall, Some(failure)),
        };
        let in_a_row = if self.streak.0 == to { self.streak.1.saturating_add(1) } else { 1 };
        self.streak = (to, in_a_row);
        if to == self.health || in_a_row < needed.max(1) {
            return None;
        }
        let from = std::mem::replace(&mut self.health, to);
        if to == Health::Healthy {
            self.starting = None;
        } else {
            self.suspect = false;
        }
        Some(Transition { from, to, reason })
    }
}

/// A tenth more or less.
fn jittered(time: Duration, rng: &mut Rng) -> Duration {
    time.mul_f64(0.9 + 0.2 * rng.f64())
}

#[cfg(test)]
mod tests;
