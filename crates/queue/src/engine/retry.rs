//! What becomes of a job whose attempt did not finish it: tried again after a while, or tried no more.

use super::{After, Engine, Now, TubeIx};
use crate::config::TubeConfig;
use crate::names::JobId;

/// How long a job waits after its `attempts`th failed attempt: twice as long after each, up to a limit, and spread so that
/// jobs which failed together do not come back together. The spread is the job's own and not random, so that what was
/// decided can be decided again.
pub(crate) fn backoff_ms(config: &TubeConfig, first_ms: u64, attempts: u32, id: JobId) -> u64 {
    let doublings = attempts.saturating_sub(1).min(63);
    let whole = first_ms.saturating_mul(1 << doublings).min(config.retry_delay_max_ms.max(first_ms));
    let spread = u64::try_from(u128::from(whole) * u128::from(config.retry_jitter_percent.min(100)) / 100).unwrap_or(0);
    if spread == 0 {
        return whole;
    }
    let within = spread.saturating_mul(2).saturating_add(1);
    (whole - spread).saturating_add(mix(id.0 ^ u64::from(attempts) << 48) % within)
}

/// The finalizer of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Engine {
    /// Reservations of the job that count towards its limit.
    pub(crate) fn attempts(&self, id: JobId) -> u32 {
        self.facts(id).map_or(0, |facts| {
            let forgiven = facts.more.as_ref().map_or(0, |more| more.forgiven);
            facts.counts.reserves.saturating_sub(forgiven)
        })
    }

    /// Whether the job has had all its attempts.
    pub(crate) fn is_spent(&self, id: JobId, tube: TubeIx) -> bool {
        let attempts_max = self.attempts_max(id, tube);
        attempts_max > 0 && self.attempts(id) >= attempts_max
    }

    /// Whether its failed attempts are remembered: where nobody limits them, nobody looks at them.
    pub(crate) fn has_retry_policy(&self, id: JobId, tube: TubeIx) -> bool {
        self.attempts_max(id, tube) > 0 || self.tube(tube).config.dead_letter.is_some()
    }

    fn attempts_max(&self, id: JobId, tube: TubeIx) -> u32 {
        let own = self.facts(id).and_then(|facts| facts.more.as_ref()?.terms.attempts_max);
        own.unwrap_or(self.tube(tube).config.attempts_max)
    }

    /// What becomes of a job that was not finished, when nobody says when it is to be tried again.
    pub(crate) fn after_attempt(&self, id: JobId, tube: TubeIx, now: Now) -> After {
        if self.is_spent(id, tube) {
            return After::Buried;
        }
        let config = &self.tube(tube).config;
        let own = self.facts(id).and_then(|facts| facts.more.as_ref()?.terms.retry_delay_ms);
        let first_ms = own.unwrap_or(config.retry_delay_ms);
        match backoff_ms(config, first_ms, self.attempts(id), id) {
            0 => After::Ready,
            wait_ms => After::Delayed { until_ms: now.wall.millis().saturating_add(wait_ms) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_as_long_as_the_one_before_up_to_the_limit() {
        let config = TubeConfig { retry_delay_max_ms: 5_000, retry_jitter_percent: 0, ..TubeConfig::default() };
        let waits: Vec<u64> = (1..6).map(|attempts| backoff_ms(&config, 1_000, attempts, JobId(1))).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(backoff_ms(&config, 0, 9, JobId(1)), 0, "no delay stays none");
        assert_eq!(backoff_ms(&config, 9_000, 1, JobId(1)), 9_000, "the first wait is as it was asked for");
    }

    proptest::proptest! {
        #[test]
        fn the_spread_stays_within_its_percentage(first in 0u64..u64::MAX, attempts: u32, id: u64, percent in 0u32..200) {
            let config = TubeConfig { retry_jitter_percent: percent, ..TubeConfig::default() };
            let whole = backoff_ms(&TubeConfig { retry_jitter_percent: 0, ..config.clone() }, first, attempts, JobId(id));
            let wait = backoff_ms(&config, first, attempts, JobId(id));
            let most = u128::from(whole) * u128::from(percent.min(100)) / 100;
            proptest::prop_assert!(u128::from(wait.abs_diff(whole)) <= most, "{wait} of {whole}");
            proptest::prop_assert_eq!(wait, backoff_ms(&config, first, attempts, JobId(id)));
        }
    }
}
