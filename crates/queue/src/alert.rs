//! Alerts: a tube whose oldest ready job is too old, or that will not be empty soon enough. Pure: what is measured and the time
//! come in, what was raised or cleared comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use control::wire::AlertRow;
use stdx::clock::{Mono, Wall};

use crate::event::{AlertEvent, AlertKind};
use crate::names::Namespace;

/// One thing that is measured of one tube.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gauge {
    pub(crate) namespace: Namespace,
    pub(crate) tube: String,
    pub(crate) kind: AlertKind,
    /// `None`: it will never end.
    pub(crate) value_ms: Option<u64>,
    pub(crate) limit_ms: u64,
}

impl Gauge {
    fn is_over(&self) -> bool {
        self.value_ms.is_none_or(|value| value > self.limit_ms)
    }
}

impl AlertKind {
    /// How long it must last before it is believed, and before its end is. An age is exact; rates are of the last minute or so,
    /// and at the first jobs of a burst a tube seems to grow for ever.
    fn hold(self) -> Duration {
        match self {
            AlertKind::Age => Duration::ZERO,
            AlertKind::Drain => Duration::from_secs(10),
        }
    }
}

type Key = (Namespace, String, AlertKind);

/// A gauge that is over its limit, or was until lately.
struct Open {
    gauge: Gauge,
    since: Wall,
    /// Since when it is as it is now: over the limit or, when it was raised, below it again.
    turned: Mono,
    is_over: bool,
    is_raised: bool,
}

/// All alerts that are raised or about to be.
#[derive(Default)]
pub(crate) struct Alerts(BTreeMap<Key, Open>);

impl Alerts {
    /// Takes what is measured now; says what is raised or cleared by it. What is not measured any more is over.
    pub(crate) fn look(&mut self, gauges: Vec<Gauge>, mono: Mono, wall: Wall) -> Vec<AlertEvent> {
        let mut before = std::mem::take(&mut self.0);
        let mut told = Vec::new();
        for gauge in gauges {
            let key = (gauge.namespace.clone(), gauge.tube.clone(), gauge.kind);
            let is_over = gauge.is_over();
            let mut open = match before.remove(&key) {
                Some(open) => Open { gauge, ..open },
                None if is_over => Open { gauge, since: wall, turned: mono, is_over, is_raised: false },
                None => continue,
            };
            if open.is_over != is_over {
                (open.is_over, open.turned) = (is_over, mono);
            }
            let is_settled = mono.since(open.turned) >= open.gauge.kind.hold();
            match (is_over, open.is_raised) {
                (true, false) if is_settled => {
                    open.is_raised = true;
                    told.push(open.event(true, wall));
                }
                (false, true) if is_settled => {
                    told.push(open.event(false, wall));
                    continue;
                }
                (false, false) => continue,
                _ => {}
            }
            self.0.insert(key, open);
        }
        told.extend(before.values().filter(|open| open.is_raised).map(|open| open.event(false, wall)));
        told
    }

    /// Those that are raised.
    pub(crate) fn rows(&self) -> Vec<AlertRow> {
        self.0.values().filter(|open| open.is_raised).map(Open::row).collect()
    }
}

impl Open {
    fn event(&self, raised: bool, time: Wall) -> AlertEvent {
        let Gauge { namespace, tube, kind, value_ms, limit_ms } = self.gauge.clone();
        AlertEvent { time, namespace, tube, kind, raised, value_ms, limit_ms }
    }

    fn row(&self) -> AlertRow {
        let scope = self.gauge.namespace.0.clone();
        AlertRow {
            app: scope.as_ref().map(|scope| scope.app.clone()),
            environment: scope.map(|scope| scope.env),
            tube: self.gauge.tube.clone(),
            kind: self.gauge.kind.word().into(),
            since_ms: self.since.millis(),
            value_ms: self.gauge.value_ms,
            limit_ms: self.gauge.limit_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at one gauge after so many seconds.
    fn look(alerts: &mut Alerts, kind: AlertKind, value_ms: Option<u64>, after_s: u64) -> Option<bool> {
        let gauge = Gauge { namespace: Namespace::SHARED, tube: "orders".into(), kind, value_ms, limit_ms: 1_000 };
        let told = alerts.look(vec![gauge], Mono(after_s * 1_000_000_000), Wall(after_s * 1_000_000_000));
        told.first().map(|event| event.raised)
    }

    #[test]
    fn an_old_job_raises_an_alert_at_once_and_its_end_clears_it() {
        let mut alerts = Alerts::default();
        assert_eq!(look(&mut alerts, AlertKind::Age, Some(1_000), 1), None);
        assert_eq!(look(&mut alerts, AlertKind::Age, Some(1_001), 2), Some(true));
        assert_eq!(look(&mut alerts, AlertKind::Age, Some(2_001), 3), None, "it is told once");
        let rows = alerts.rows();
        assert_eq!((rows[0].kind.as_str(), rows[0].since_ms, rows[0].value_ms), ("age", 2_000, Some(2_001)));
        assert_eq!(look(&mut alerts, AlertKind::Age, Some(0), 4), Some(false));
        assert_eq!(alerts.rows(), []);
    }

    #[test]
    fn a_tube_that_grows_for_a_moment_is_no_alert() {
        let mut alerts = Alerts::default();
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 0), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 9), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, Some(0), 9), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 12), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 21), None, "it began anew");
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 22), Some(true));
        assert_eq!(look(&mut alerts, AlertKind::Drain, Some(5), 23), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, None, 32), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, Some(5), 40), None);
        assert_eq!(look(&mut alerts, AlertKind::Drain, Some(5), 50), Some(false));
    }

    #[test]
    fn a_tube_that_is_gone_has_no_alert() {
        let mut alerts = Alerts::default();
        look(&mut alerts, AlertKind::Age, None, 1);
        let told = alerts.look(Vec::new(), Mono(2), Wall(2));
        assert_eq!(
            told.iter().map(|event| (event.tube.as_str(), event.raised)).collect::<Vec<_>>(),
            [("orders", false)]
        );
        assert_eq!(alerts.rows(), []);
    }
}
