//! Periodic jobs: lines like `0 3 * * *`, each of which puts a job once per tick.
//!
//! What a tick is, is pure (`schedule`, `due`); that it fires once is the log's doing: the record of the job it put says which
//! tick it was for, so that both are on disk or neither is.

pub(crate) mod due;
pub(crate) mod line;
pub(crate) mod schedule;

use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;

pub use due::{CATCH_UP_MAX, CatchUp};
pub use line::LineError;

use schedule::Schedule;

use crate::door::NewJob;
use crate::names::TubeName;

/// A job that is put again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronConfig {
    /// When: minute, hour, day, month, weekday as cron reads them, or @hourly, @daily, @weekly, @monthly, @yearly.
    pub schedule: String,
    /// The time zone of the line, as `Europe/Berlin`. Where clocks are turned, a line with hours of its own still fires
    /// once a day.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// The tube that the job is put into.
    #[schemars(extend("format" = "tube-name"))]
    pub tube: String,
    /// The job's body.
    #[serde(default)]
    #[schemars(length(max = 65_535))]
    pub body: String,
    /// The job's priority; 0 is the most urgent.
    #[serde(default = "pri")]
    pub pri: u32,
    /// Seconds that a worker may take.
    #[serde(default = "ttr_s")]
    #[schemars(range(min = 1))]
    pub ttr_s: u32,
    /// What happens to ticks that were missed because nothing ran: none, one job for all of them, or all (100 at most).
    #[serde(default)]
    pub catch_up: CatchUp,
    /// By up to how much all ticks are put off, so that not all lines fire at once; always by the same.
    #[serde(default)]
    #[schemars(range(max = 86_400_000))]
    pub jitter_ms: u32,
}

fn utc() -> String {
    "UTC".into()
}

fn pri() -> u32 {
    NewJob::PRI
}

fn ttr_s() -> u32 {
    NewJob::TTR_S
}

/// Why a periodic job cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The zone.
    #[error("there is no time zone `{0}` here")]
    Zone(String),
    /// The tube.
    #[error("`{0}` is no name of a tube")]
    Tube(String),
    /// It would never fire.
    #[error("`{0}` never comes")]
    Never(String),
}

/// A periodic job, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cron {
    pub(crate) config: CronConfig,
    pub(crate) tube: TubeName,
    schedule: Schedule,
    /// How long after its tick it fires.
    put_off: Duration,
}

impl CronConfig {
    /// Whether it can be.
    ///
    /// # Errors
    /// [`CronError`].
    pub fn check(&self) -> Result<(), CronError> {
        Cron::new("", self.clone()).map(drop)
    }
}

impl Cron {
    /// Reads the line of this name.
    pub(crate) fn new(name: &str, config: CronConfig) -> Result<Cron, CronError> {
        let zone = match config.time_zone.as_str() {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| CronError::Zone(name.into()))?,
        };
        let schedule = Schedule::new(config.schedule.parse()?, zone);
        let tube = TubeName::new(config.tube.as_bytes()).ok_or_else(|| CronError::Tube(config.tube.clone()))?;
        if schedule.next_after(Wall(0)).is_none() {
            return Err(CronError::Never(config.schedule));
        }
        let put_off = due::jitter(name, config.jitter_ms);
        Ok(Cron { config, tube, schedule, put_off })
    }

    /// The ticks that are to fire, after the last that did.
    pub(crate) fn due(&self, last: Wall, now: Wall) -> Vec<Wall> {
        due::due(&self.schedule, last, now - self.put_off, self.config.catch_up)
    }

    /// Ticks up to this one need no look any more when none of them was due.
    pub(crate) fn passed(&self, last: Wall, now: Wall) -> Wall {
        if self.config.catch_up == CatchUp::None { last.max(now - self.put_off - due::ON_TIME) } else { last }
    }

    /// How long there is nothing to do.
    pub(crate) fn idle_for(&self, last: Wall, now: Wall) -> Option<Duration> {
        Some((self.schedule.next_after(last)? + self.put_off).since(now))
    }

    /// The job of a tick.
    pub(crate) fn job(&self) -> NewJob {
        NewJob { pri: self.config.pri, ttr_s: self.config.ttr_s, ..NewJob::new(self.config.body.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(schedule: &str) -> CronConfig {
        let text = format!("{{\"schedule\": \"{schedule}\", \"tube\": \"reports\"}}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_can_never_be_is_refused() {
        assert_eq!(config("0 3 * * *").check(), Ok(()));
        assert!(matches!(config("0 3 * *").check(), Err(CronError::Line(_))));
        assert!(matches!(config("0 0 30 2 *").check(), Err(CronError::Never(_))));
        let zone = CronConfig { time_zone: "Europe/Atlantis".into(), ..config("@daily") };
        assert_eq!(zone.check(), Err(CronError::Zone("Europe/Atlantis".into())));
        let tube = CronConfig { tube: "a b".into(), ..config("@daily") };
        assert_eq!(tube.check(), Err(CronError::Tube("a b".into())));
    }

    #[test]
    fn a_tick_that_is_put_off_is_not_due_before() {
        let cron = Cron::new("report", CronConfig { jitter_ms: 86_400_000, ..config("@hourly") }).unwrap();
        let hour = Wall(3_600_000_000_000 * 500_000);
        let last = Wall(hour.0 - 1);
        assert!(!cron.put_off.is_zero());
        assert_eq!(cron.due(last, Wall((hour + cron.put_off).0 - 1)), []);
        assert_eq!(cron.due(last, hour + cron.put_off), [hour]);
        assert_eq!(cron.idle_for(last, hour), Some(cron.put_off));
    }
}
