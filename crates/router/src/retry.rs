//! Whether a request that failed at one endpoint may be tried again. Pure.

use std::time::Duration;

use http::Method;
use stdx::rng::Rng;

use crate::access::Outcome;
use crate::config::RoutePolicy;
use crate::kept::KeepLimits;

/// Whether sending a request with this method a second time does no more than sending it once (RFC 9110, 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Whether sending a request again is harmless even if it arrived the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Harmless,
    /// It is not idempotent, or its content is gone.
    Never,
}

/// A route's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) retries_max: u8,
    /// Statuses of replies that are not passed on while there is another way.
    pub(crate) statuses: Box<[u16]>,
    pub(crate) backoff: Duration,
    pub(crate) backoff_limit: Duration,
    pub(crate) keep: KeepLimits,
}

impl Rule {
    pub(crate) fn of(policy: &RoutePolicy) -> Rule {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        Rule {
            retries_max: policy.retries_max,
            statuses: policy.retry.statuses.as_slice().into(),
            backoff: ms(policy.retry.backoff_ms),
            backoff_limit: ms(policy.retry.backoff_limit_ms),
            keep: KeepLimits { memory: policy.retry.body_memory_bytes_max, disk: policy.retry.body_disk_bytes_max },
        }
    }

    /// Whether to try again after `outcome`, `counted` counted tries having been made. Nothing of a reply may have gone out
    /// yet; the caller sees to that.
    ///
    /// A connection that was never made has sent nothing: such a try is free, for every method. All others count.
    pub(crate) fn again(&self, outcome: Outcome, repeat: Repeat, counted: u32) -> bool {
        let may_repeat = || repeat == Repeat::Harmless && counted <= u32::from(self.retries_max);
        match outcome {
            Outcome::Refused | Outcome::ConnectTimeout => true,
            Outcome::Died | Outcome::TimedOut | Outcome::Malformed => may_repeat(),
            Outcome::Answered(status) => self.statuses.contains(&status) && may_repeat(),
            Outcome::Abandoned | Outcome::Cancelled => false,
        }
    }

    /// How long the next try waits after `outcome`, `counted` counted tries having been made: not at all where nothing came
    /// back and somebody `fresh` can be asked, else longer each time, and never for the same time.
    pub(crate) fn pause(&self, outcome: Outcome, counted: u32, fresh: bool, rng: &mut Rng) -> Duration {
        if counted == 0 || (fresh && !matches!(outcome, Outcome::Answered(_))) {
            return Duration::ZERO;
        }
        let doubled = self.backoff.saturating_mul(1 << (counted - 1).min(16));
        doubled.min(self.backoff_limit).mul_f64(0.5 + 0.5 * rng.f64())
    }
}

/// Whether a try counts against the route's `retries_max`.
pub(crate) fn counts(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Refused | Outcome::ConnectTimeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    fn rule(retries_max: u8) -> Rule {
        let mut policy = RoutePolicy { retries_max, ..RoutePolicy::default() };
        policy.retry.statuses = vec![502, 503];
        Rule::of(&policy)
    }

    #[test]
    fn what_was_never_sent_is_always_tried_again() {
        for repeat in [Repeat::Harmless, Repeat::Never] {
            assert!(rule(0).again(Outcome::Refused, repeat, 9), "{repeat:?}");
        }
    }

    #[test]
    fn what_may_have_arrived_is_repeated_only_where_that_is_harmless() {
        for outcome in [Outcome::Died, Outcome::TimedOut, Outcome::Malformed, Outcome::Answered(503)] {
            assert!(rule(1).again(outcome, Repeat::Harmless, 1));
            assert!(!rule(1).again(outcome, Repeat::Never, 1));
        }
    }

    #[test]
    fn an_answer_is_an_answer_unless_the_route_says_otherwise() {
        assert!(!rule(1).again(Outcome::Answered(500), Repeat::Harmless, 1));
        assert!(!rule(1).again(Outcome::Answered(200), Repeat::Harmless, 1));
        assert!(!Rule::of(&RoutePolicy::default()).again(Outcome::Answered(503), Repeat::Harmless, 1));
    }

    #[test]
    fn retries_are_counted() {
        assert!(!rule(0).again(Outcome::Died, Repeat::Harmless, 1));
        assert!(rule(2).again(Outcome::Died, Repeat::Harmless, 2));
        assert!(!rule(2).again(Outcome::Died, Repeat::Harmless, 3));
    }

    #[test]
    fn methods_are_case_sensitive() {
        let lower = Method::from_bytes(b"get").unwrap();
        assert!(!is_idempotent(&lower));
    }

    #[test]
    fn a_dead_endpoint_is_no_reason_to_wait_for_another_one() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(rule(1).pause(Outcome::Died, 1, true, &mut rng), Duration::ZERO);
        assert!(rule(1).pause(Outcome::Died, 1, false, &mut rng) >= Duration::from_millis(5));
        assert!(rule(1).pause(Outcome::Answered(503), 1, true, &mut rng) >= Duration::from_millis(5));
    }

    proptest! {
        #[test]
        fn a_pause_doubles_and_is_between_half_and_whole(counted in 1_u32..100, seed in any::<u64>()) {
            let rule = rule(10);
            let whole = rule.backoff.saturating_mul(1 << (counted - 1).min(20)).min(rule.backoff_limit);
            let pause = rule.pause(Outcome::Answered(502), counted, true, &mut Rng::with_seed(seed));
            prop_assert!(pause >= whole / 2 && pause <= whole);
        }
    }
}
