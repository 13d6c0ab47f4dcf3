//! Faults on demand: what a share of the tries meets in the endpoint's place, so that retries, hedges and breakers can be
//! seen at work. A route without faults pays one relaxed load per try.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::wire::router::Fault;
use stdx::rng::Rng;

use crate::access::TargetFacts;

/// The faults of one route.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    any: AtomicBool,
    list: Mutex<Arc<[Fault]>>,
}

/// What one try meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strike {
    /// Time before anything else happens.
    pub delay: Duration,
    /// What comes instead of the endpoint's reply; `None`: the endpoint is asked.
    pub end: Option<StrikeEnd>,
}

/// What comes instead of an endpoint's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrikeEnd {
    /// This status.
    Error(u16),
    /// The end of the connection.
    Reset,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.delay.is_zero() {
            write!(f, "delay {} ms", self.delay.as_millis())?;
        }
        let and = if self.delay.is_zero() { "" } else { " and " };
        match self.end {
            Some(StrikeEnd::Error(status)) => write!(f, "{and}error {status}"),
            Some(StrikeEnd::Reset) => write!(f, "{and}reset"),
            None => Ok(()),
        }
    }
}

impl Faults {
    /// Puts others in their place.
    pub(crate) fn replace(&self, faults: Vec<&Fault>) {
        let any = !faults.is_empty();
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = faults.into_iter().cloned().collect();
        self.any.store(any, Relaxed);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// What a try at `target` meets, mostly nothing.
    pub(crate) fn strike(&self, target: &TargetFacts, rng: &mut Rng) -> Option<Strike> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let list = Arc::clone(&self.list.lock().unwrap_or_else(PoisonError::into_inner));
        strike(&list, target, rng)
    }
}

/// Each fault falls on its share of the tries. Delays add up; the first error or reset ends the try.
fn strike(faults: &[Fault], target: &TargetFacts, rng: &mut Rng) -> Option<Strike> {
    let mut met = Strike::default();
    for fault in faults.iter().filter(|fault| is_for(fault, target)) {
        if rng.f64() * 100.0 >= fault.share_percent {
            continue;
        }
        met.delay += Duration::from_millis(fault.delay_ms);
        let end = if fault.reset { Some(StrikeEnd::Reset) } else { fault.error.map(StrikeEnd::Error) };
        met.end = met.end.or(end);
    }
    (met != Strike::default()).then_some(met)
}

fn is_for(fault: &Fault, target: &TargetFacts) -> bool {
    let Some(endpoint) = &fault.endpoint else { return true };
    target.instance.as_ref() == Some(endpoint) || endpoint.parse() == Ok(target.addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16, instance: &str) -> TargetFacts {
        TargetFacts { addr: ([127, 0, 0, 1], port).into(), instance: Some(instance.into()), release: None }
    }

    fn fault(share_percent: f64) -> Fault {
        Fault { endpoint: None, share_percent, delay_ms: 0, error: None, reset: false }
    }

    #[test]
    fn a_route_without_faults_meets_none() {
        let faults = Faults::default();
        let mut rng = Rng::with_seed(1);
        assert_eq!(faults.strike(&target(1, "web.1"), &mut rng), None);
        faults.replace(vec![&Fault { reset: true, ..fault(100.0) }]);
        let met = faults.strike(&target(1, "web.1"), &mut rng).unwrap();
        assert_eq!(met, Strike { delay: Duration::ZERO, end: Some(StrikeEnd::Reset) });
        faults.replace(Vec::new());
        assert_eq!(faults.strike(&target(1, "web.1"), &mut rng), None);
    }

    #[test]
    fn a_fault_falls_on_its_share() {
        let faults = [Fault { delay_ms: 200, ..fault(30.0) }];
        let mut rng = Rng::with_seed(7);
        let met = (0..10_000).filter(|_| strike(&faults, &target(1, "web.1"), &mut rng).is_some()).count();
        assert!((2_800..3_200).contains(&met), "{met} of 10000");
    }

    #[test]
    fn a_fault_of_one_endpoint_leaves_the_others_alone() {
        let mut rng = Rng::with_seed(7);
        for endpoint in ["127.0.0.1:1", "web.1"] {
            let faults = [Fault { endpoint: Some(endpoint.into()), error: Some(503), ..fault(100.0) }];
            assert!(strike(&faults, &target(1, "web.1"), &mut rng).is_some(), "{endpoint}");
            assert_eq!(strike(&faults, &target(2, "web.2"), &mut rng), None, "{endpoint}");
        }
    }

    #[test]
    fn delays_add_up_and_the_first_end_counts() {
        let faults = [
            Fault { delay_ms: 200, ..fault(100.0) },
            Fault { delay_ms: 50, error: Some(503), ..fault(100.0) },
            Fault { reset: true, ..fault(100.0) },
        ];
        let met = strike(&faults, &target(1, "web.1"), &mut Rng::with_seed(1)).unwrap();
        assert_eq!(met, Strike { delay: Duration::from_millis(250), end: Some(StrikeEnd::Error(503)) });
    }
}
