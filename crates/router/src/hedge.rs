//! When a second try goes out beside a first one that has not answered. Pure.

use std::time::Duration;

use stdx::clock::Mono;

use crate::config::HedgeConfig;
use crate::latency::Latency;

/// A route's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hedge {
    /// After a time that was written down.
    Fixed(Duration),
    /// When most answers would have been there, and not before the floor.
    Percentile { percent: u8, floor: Duration },
}

impl Hedge {
    pub(crate) fn of(config: &HedgeConfig) -> Hedge {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        match config.delay_ms {
            Some(delay) => Hedge::Fixed(ms(delay)),
            None => Hedge::Percentile { percent: config.percentile, floor: ms(config.floor_ms) },
        }
    }

    /// How long the first try is alone; `None` while that is not known, and then it stays alone.
    pub(crate) fn delay(self, latency: Option<&Latency>, now: Mono) -> Option<Duration> {
        match self {
            Hedge::Fixed(delay) => Some(delay),
            Hedge::Percentile { percent, floor } => latency?.percentile(percent, now).map(|time| time.max(floor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_millis(5);

    #[test]
    fn a_fixed_delay_asks_nobody() {
        assert_eq!(Hedge::of(&HedgeConfig::always()).delay(None, Mono(0)), Some(Duration::ZERO));
    }

    #[test]
    fn a_percentile_waits_until_it_is_known_and_has_a_floor() {
        let hedge = Hedge::of(&HedgeConfig { delay_ms: None, percentile: 90, floor_ms: 5 });
        let latency = Latency::default();
        assert_eq!(hedge.delay(Some(&latency), Mono(0)), None);
        for _ in 0..100 {
            latency.observe(Mono(0), Duration::from_millis(1));
        }
        assert_eq!(hedge.delay(Some(&latency), Mono(1_000_000_000)), Some(FLOOR));
        for _ in 0..100 {
            latency.observe(Mono(0), Duration::from_millis(50));
        }
        assert!(hedge.delay(Some(&latency), Mono(2_000_000_000)).unwrap() > Duration::from_millis(50));
    }
}
