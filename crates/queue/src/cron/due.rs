//! Which ticks fire now: at most once each, and after a time in which nobody looked as many as the line wants.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;

use super::schedule::Schedule;

/// Ticks that are made up for at most; of more the newest.
pub const CATCH_UP_MAX: usize = 100;

/// A tick is missed when nobody looked for so long after it.
pub(super) const ON_TIME: Duration = Duration::from_secs(60);

/// How far back missed ticks are looked for, in steps that end when enough are found.
const LOOK_BACK: [Duration; 4] = [
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 86_400),
    Duration::from_secs(40 * 86_400),
    Duration::from_secs(8 * 366 * 86_400),
];

/// What happens to ticks that were missed because nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are left out.
    None,
    /// One job for all of them.
    #[default]
    One,
    /// One job for each, the newest 100 at most.
    All,
}

/// The ticks after `last` and up to `now` that are to fire, in order. What is left out counts as done, too.
pub(crate) fn due(schedule: &Schedule, last: Wall, now: Wall, catch_up: CatchUp) -> Vec<Wall> {
    let wanted = if catch_up == CatchUp::All { CATCH_UP_MAX } else { 1 };
    let mut ticks = newest(schedule, last, now, wanted);
    if catch_up == CatchUp::None {
        ticks.retain(|tick| now.since(*tick) <= ON_TIME);
    }
    ticks.into()
}

/// The newest `n` ticks after `last` and up to `now`.
fn newest(schedule: &Schedule, last: Wall, now: Wall, n: usize) -> VecDeque<Wall> {
    let mut ticks = VecDeque::new();
    for back in LOOK_BACK {
        let from = last.max(now - back);
        ticks.clear();
        let mut at = from;
        while let Some(next) = schedule.next_after(at).filter(|next| *next <= now) {
            if ticks.len() == n {
                ticks.pop_front();
            }
            ticks.push_back(next);
            at = next;
        }
        if ticks.len() == n || from == last {
            break;
        }
    }
    ticks
}

/// By how much all ticks of a line are put off: by its name, so that a restart changes nothing and not all lines of a node fire at
/// once.
pub(crate) fn jitter(name: &str, jitter_ms: u32) -> Duration {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The high bits are the well mixed ones.
    Duration::from_millis((hash >> 32) % (u64::from(jitter_ms) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    const MINUTE: u64 = 60_000_000_000;
    const DAY: u64 = 1_440 * MINUTE;
    const START: u64 = 20_000 * DAY;

    fn each_minute() -> Schedule {
        Schedule::new("* * * * *".parse().unwrap(), TimeZone::UTC)
    }

    fn minutes(ticks: Vec<Wall>) -> Vec<u64> {
        ticks.into_iter().map(|tick| (tick.0 - START) / MINUTE).collect()
    }

    #[test]
    fn a_tick_fires_when_it_is_due_and_not_again() {
        let at = |minute: u64| Wall(START + minute * MINUTE);
        for catch_up in [CatchUp::None, CatchUp::One, CatchUp::All] {
            assert_eq!(minutes(due(&each_minute(), at(0), Wall(at(1).0 - 1), catch_up)), [0; 0]);
            assert_eq!(minutes(due(&each_minute(), at(0), at(1), catch_up)), [1]);
            assert_eq!(minutes(due(&each_minute(), at(1), at(1), catch_up)), [0; 0]);
            assert_eq!(minutes(due(&each_minute(), at(5), at(3), catch_up)), [0; 0], "the clock was turned back");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_the_line_wants() {
        let at = |minute: u64| Wall(START + minute * MINUTE + MINUTE / 2);
        let fired = |catch_up| minutes(due(&each_minute(), at(0), at(5), catch_up));
        assert_eq!(fired(CatchUp::None), [5], "the last is on time");
        assert_eq!(fired(CatchUp::One), [5]);
        assert_eq!(fired(CatchUp::All), [1, 2, 3, 4, 5]);
        let daily = Schedule::new("0 3 * * *".parse().unwrap(), TimeZone::UTC);
        let week_later = Wall(START + 7 * DAY);
        assert_eq!(due(&daily, Wall(START), week_later, CatchUp::None), []);
        assert_eq!(due(&daily, Wall(START), week_later, CatchUp::One), [Wall(START + 6 * DAY + 180 * MINUTE)]);
        assert_eq!(due(&daily, Wall(START), week_later, CatchUp::All).len(), 7);
    }

    #[test]
    fn a_year_of_minutes_is_bounded() {
        let ticks = due(&each_minute(), Wall(START), Wall(START + 366 * DAY), CatchUp::All);
        assert_eq!(ticks.len(), CATCH_UP_MAX);
        assert_eq!(ticks.last(), Some(&Wall(START + 366 * DAY)));
    }

    #[test]
    fn jitter_is_the_same_each_time_and_within_its_bound() {
        let all: std::collections::BTreeSet<_> = (0..100).map(|n| jitter(&format!("report-{n}"), 60_000)).collect();
        assert!(all.len() > 50 && all.iter().all(|jitter| *jitter <= Duration::from_secs(60)));
        assert_eq!(jitter("report", 60_000), jitter("report", 60_000));
        assert_eq!(jitter("report", 0), Duration::ZERO);
    }
}
