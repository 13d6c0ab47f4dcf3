//! When a line fires: its ticks, as points in time.
//!
//! Where a clock is turned, a line with hours of its own (`30 2 * * *`) still fires once a day: what falls into the gap fires at
//! its end, what is there twice fires the first time. A line that means "so often" (`*/10 * * * *`, `0 * * * *`) goes by the time
//! that passes: nothing is made up for in spring, and in autumn it fires in both of the hours.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use stdx::clock::Wall;

use super::line::Line;

/// A line that has not fired for so many days never will: leap days come at least every eight years.
const DAYS_MAX: usize = 8 * 366 + 31;

/// A line in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    line: Line,
    zone: TimeZone,
}

impl Schedule {
    pub(crate) fn new(line: Line, zone: TimeZone) -> Schedule {
        Schedule { line, zone }
    }

    /// The first tick after a point in time; `None` when there is none, as on the 30th of February.
    pub(crate) fn next_after(&self, after: Wall) -> Option<Wall> {
        let after = Timestamp::from_nanosecond(i128::from(after.0)).ok()?;
        let next = if self.line.is_by_elapsed_time() { self.by_elapsed_time(after) } else { self.by_day(after) };
        next.and_then(|tick| u64::try_from(tick.as_nanosecond()).ok()).map(Wall)
    }

    /// Local days, and on each the times that it may fire at.
    fn by_day(&self, after: Timestamp) -> Option<Timestamp> {
        let mut date = self.zone.to_datetime(after).date();
        for _ in 0..DAYS_MAX {
            if self.has_date(date)
                && let Some(tick) = self.on(date).find(|tick| *tick > after)
            {
                return Some(tick);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_date(&self, date: Date) -> bool {
        self.line.has_month(date.month()) && self.line.has_day(date.day(), date.weekday().to_sunday_zero_offset())
    }

    /// The ticks of one local day.
    fn on(&self, date: Date) -> impl Iterator<Item = Timestamp> {
        let hours = (0..24).filter(|hour| self.line.has_hour(*hour));
        let minutes =
            move |hour| (0..60).filter(|minute| self.line.has_minute(*minute)).map(move |minute| (hour, minute));
        hours
            .flat_map(minutes)
            .filter_map(move |(hour, minute)| self.instant(date.to_datetime(time(hour, minute, 0, 0))))
    }

    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            // By the offset that holds afterwards it would have been before the gap, whose end is what comes next.
            AmbiguousOffset::Gap { after, .. } => {
                let before_gap = after.to_timestamp(local).ok()?;
                self.zone.following(before_gap).next().map(|transition| transition.timestamp())
            }
        }
    }

    /// Minutes as they pass, with leaps over months, days and hours in which nothing can be.
    fn by_elapsed_time(&self, after: Timestamp) -> Option<Timestamp> {
        const MINUTE: i64 = 60;
        let mut tick = Timestamp::from_second((after.as_second().div_euclid(MINUTE) + 1) * MINUTE).ok()?;
        let mut days = 0;
        while days < DAYS_MAX {
            let local = self.zone.to_datetime(tick);
            let minutes = if !self.has_date(local.date()) {
                days += 1;
                // An hour early when the day is a long one; the next look is then of the same day.
                (24 * 60 - i64::from(local.hour()) * 60 - i64::from(local.minute()) - 60)
                    .max(60 - i64::from(local.minute()))
            } else if !self.line.has_hour(local.hour()) {
                60 - i64::from(local.minute())
            } else if !self.line.has_minute(local.minute()) {
                1
            } else {
                return Some(tick);
            };
            tick = Timestamp::from_second(tick.as_second() + minutes * MINUTE).ok()?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(line: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let schedule = Schedule::new(line.parse().unwrap(), zone.clone());
        let after: Timestamp = after.parse().unwrap();
        let mut at = Wall(after.as_nanosecond() as u64);
        let mut ticks = Vec::new();
        while ticks.len() < n {
            let Some(next) = schedule.next_after(at) else { break };
            assert!(next > at, "{line} goes back");
            at = next;
            let local = Timestamp::from_nanosecond(i128::from(at.0)).unwrap().to_zoned(zone.clone());
            ticks.push(local.strftime("%m-%d %H:%M%:z").to_string());
        }
        ticks
    }

    #[test]
    fn ticks_come_one_after_the_other() {
        assert_eq!(
            ticks("*/20 * * * *", "UTC", "2026-01-01T00:00:00Z", 4),
            ["01-01 00:20+00:00", "01-01 00:40+00:00", "01-01 01:00+00:00", "01-01 01:20+00:00"]
        );
        assert_eq!(
            ticks("30 9 * * mon-fri", "Europe/Berlin", "2026-01-02T12:00:00Z", 2),
            ["01-05 09:30+01:00", "01-06 09:30+01:00"]
        );
        assert_eq!(ticks("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["02-29 00:00+00:00"]);
        assert_eq!(
            ticks("0 */6 1 jan *", "UTC", "2026-01-01T05:59:59Z", 2),
            ["01-01 06:00+00:00", "01-01 12:00+00:00"]
        );
        assert_eq!(ticks("0 0 31 2,4 *", "UTC", "2026-01-01T00:00:00Z", 1), Vec::<String>::new());
        assert_eq!(ticks("* * 30 2 *", "UTC", "2026-01-01T00:00:00Z", 1), Vec::<String>::new());
    }

    /// Berlin, 29 March 2026: 02:00 is 03:00.
    #[test]
    fn in_spring_a_time_that_is_not_there_is_made_up_for_once() {
        assert_eq!(
            ticks("0,30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 5),
            ["03-28 02:00+01:00", "03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:00+02:00", "03-30 02:30+02:00"]
        );
        assert_eq!(
            ticks("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["03-29 03:00+02:00", "03-29 04:00+02:00", "03-29 05:00+02:00"]
        );
        assert_eq!(
            ticks("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"]
        );
    }

    /// Berlin, 25 October 2026: 03:00 is 02:00 again.
    #[test]
    fn in_autumn_a_time_that_is_there_twice_counts_once_unless_it_means_so_often() {
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["10-25 02:30+02:00", "10-26 02:30+01:00"]
        );
        assert_eq!(
            ticks("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
            ["10-25 01:30+02:00", "10-25 02:30+02:00", "10-25 02:30+01:00", "10-25 03:30+01:00"]
        );
    }

    /// Lord Howe turns its clocks by half an hour: 4 October 2026, 02:00 is 02:30.
    #[test]
    fn half_hours_are_turned_as_well() {
        assert_eq!(
            ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", 2),
            ["10-04 02:30+11:00", "10-05 02:15+11:00"]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_tick_is_later_and_matches(
            minute in 0u8..60, hour in 0u8..24, step in 1u8..12, from in 1_700_000_000u64..1_900_000_000, by_hour: bool,
        ) {
            let line = if by_hour { format!("{minute} */{step} * * *") } else { format!("{minute} {hour} * * *") };
            let zone = TimeZone::get("America/New_York").unwrap();
            let schedule = Schedule::new(line.parse().unwrap(), zone.clone());
            let mut at = Wall(from * 1_000_000_000);
            for _ in 0..40 {
                let next = schedule.next_after(at).unwrap();
                proptest::prop_assert!(next > at);
                let local = zone.to_datetime(Timestamp::from_nanosecond(i128::from(next.0)).unwrap());
                // Only what falls into a gap is moved to its end, which here is at the full hour.
                proptest::prop_assert!(local.minute() == minute as i8 || local.minute() == 0);
                at = next;
            }
        }
    }
}
