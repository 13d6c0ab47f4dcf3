//! What is set by hand, and the trail of who set what and why. Pure: takes `now`, knows no disk.

use std::collections::VecDeque;
use std::time::Duration;

use control::wire::router::{AuditAction, AuditRow, BreakerByHand, Fault, Maintenance, OverrideRow, Setting, Subject};
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;

/// Rows of the audit trail that are kept.
pub(crate) const AUDIT_ROWS: usize = 256;
/// Who ends what has a limited time.
const EXPIRY: &str = "expiry";

/// Who does something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) who: String,
    pub(crate) why: Option<String>,
}

/// All overrides, oldest first, and the newest rows of their trail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    last_id: u64,
    /// Rows that the trail ever had.
    audited: u64,
    items: Vec<OverrideRow>,
    audit: VecDeque<AuditRow>,
}

impl Ledger {
    /// Sets something, in the place of what was set for the same subject. A fault stands beside other faults.
    pub(crate) fn set(&mut self, setting: Setting, lasts: Option<Duration>, by: By, now: Wall) -> OverrideRow {
        for old in self.take(|row| same_subject(&row.setting, &setting)) {
            self.trail(AuditAction::Replaced, &old, &by, now);
        }
        self.last_id += 1;
        let row = OverrideRow {
            id: self.last_id,
            setting,
            since_ns: now.0,
            until_ns: lasts.map(|lasts| (now + lasts).0),
            who: by.who.clone(),
            why: by.why.clone(),
        };
        self.items.push(row.clone());
        self.trail(AuditAction::Set, &row, &by, now);
        row
    }

    /// Takes back what `which` says yes to, and returns it.
    pub(crate) fn clear(&mut self, which: impl Fn(&OverrideRow) -> bool, by: &By, now: Wall) -> Vec<OverrideRow> {
        let cleared = self.take(which);
        for row in &cleared {
            self.trail(AuditAction::Cleared, row, by, now);
        }
        cleared
    }

    /// Ends what has lasted as long as it was to, and returns it. When the wall clock has gone back to before an override
    /// was set, its time begins anew: no clock makes it last much longer than it was set for.
    pub(crate) fn expire(&mut self, now: Wall) -> Vec<OverrideRow> {
        for row in &mut self.items {
            if let Some(until) = row.until_ns.filter(|_| now.0 < row.since_ns) {
                row.until_ns = Some((now + Wall(until).since(Wall(row.since_ns))).0);
                row.since_ns = now.0;
            }
        }
        let expired = self.take(|row| row.until_ns.is_some_and(|until| until <= now.0));
        let by = By { who: EXPIRY.into(), why: None };
        for row in &expired {
            self.trail(AuditAction::Expired, row, &by, now);
        }
        expired
    }

    /// When the next one ends.
    pub(crate) fn next_expiry(&self) -> Option<Wall> {
        self.items.iter().filter_map(|row| row.until_ns).min().map(Wall)
    }

    /// Everything that is set, oldest first.
    pub(crate) fn items(&self) -> &[OverrideRow] {
        &self.items
    }

    /// The trail, oldest first.
    pub(crate) fn audit(&self) -> impl DoubleEndedIterator<Item = &AuditRow> {
        self.audit.iter()
    }

    /// How many rows the trail ever had.
    pub(crate) fn audited(&self) -> u64 {
        self.audited
    }

    /// How a route's breaker is told to stand.
    pub(crate) fn breaker(&self, of: &str) -> Option<BreakerByHand> {
        self.items.iter().find_map(|row| match &row.setting {
            Setting::Breaker { route, state } if route == of => Some(*state),
            _ => None,
        })
    }

    /// The degrade level of an application, by `app/environment`.
    pub(crate) fn degrade(&self, of: &str) -> Option<u8> {
        self.items.iter().find_map(|row| match &row.setting {
            Setting::Degrade { app, environment, level } if format!("{app}/{environment}") == of => Some(*level),
            _ => None,
        })
    }

    /// The faults that tries of a route's requests meet.
    pub(crate) fn faults(&self, of: &str) -> Vec<&Fault> {
        let faults = self.items.iter().filter_map(|row| match &row.setting {
            Setting::Fault { route, fault } if route == of => Some(fault),
            _ => None,
        });
        faults.collect()
    }

    /// What a route answers while it is being worked on, and until when; what is set for itself goes before what is set for
    /// its application.
    pub(crate) fn maintenance(&self, of: &str) -> Option<(&Maintenance, Option<Wall>)> {
        let all = self.items.iter().filter_map(|row| match &row.setting {
            Setting::Maintenance { of: subject, maintenance } if subject.covers(of) => {
                Some((subject, maintenance, row.until_ns.map(Wall)))
            }
            _ => None,
        });
        let (_, maintenance, until) = all.min_by_key(|(subject, ..)| matches!(subject, Subject::App(_)))?;
        Some((maintenance, until))
    }

    fn take(&mut self, which: impl Fn(&OverrideRow) -> bool) -> Vec<OverrideRow> {
        self.items.extract_if(.., |row| which(row)).collect()
    }

    fn trail(&mut self, action: AuditAction, row: &OverrideRow, by: &By, now: Wall) {
        if self.audit.len() >= AUDIT_ROWS {
            self.audit.pop_front();
        }
        self.audited += 1;
        self.audit.push_back(AuditRow {
            time_ns: now.0,
            action,
            id: row.id,
            setting: row.setting.clone(),
            until_ns: row.until_ns,
            who: by.who.clone(),
            why: by.why.clone(),
        });
    }
}

/// Whether one setting takes the place of another.
fn same_subject(a: &Setting, b: &Setting) -> bool {
    match (a, b) {
        (Setting::Breaker { route: a, .. }, Setting::Breaker { route: b, .. }) => a == b,
        (
            Setting::Degrade { app, environment, .. },
            Setting::Degrade { app: app_b, environment: environment_b, .. },
        ) => (app, environment) == (app_b, environment_b),
        (Setting::Maintenance { of: a, .. }, Setting::Maintenance { of: b, .. }) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    const SECOND: u64 = 1_000_000_000;

    fn by(who: &str) -> By {
        By { who: who.into(), why: Some("trying".into()) }
    }

    fn breaker(route: &str, state: BreakerByHand) -> Setting {
        Setting::Breaker { route: route.into(), state }
    }

    fn fault(route: &str, delay_ms: u64) -> Setting {
        let fault = Fault { endpoint: None, share_percent: 30.0, delay_ms, error: None, reset: false };
        Setting::Fault { route: route.into(), fault }
    }

    fn level(app: &str, level: u8) -> Setting {
        Setting::Degrade { app: app.parse().unwrap(), environment: "production".parse().unwrap(), level }
    }

    fn actions(ledger: &Ledger) -> Vec<(AuditAction, u64, &str)> {
        ledger.audit().map(|row| (row.action, row.id, row.who.as_str())).collect()
    }

    #[test]
    fn what_is_set_anew_takes_the_place_of_what_was_set() {
        let mut ledger = Ledger::default();
        ledger.set(breaker("a", BreakerByHand::Tripped), None, by("ann"), Wall(1));
        ledger.set(breaker("b", BreakerByHand::Tripped), None, by("ann"), Wall(2));
        ledger.set(breaker("a", BreakerByHand::Closed), None, by("bob"), Wall(3));
        assert_eq!(ledger.breaker("a"), Some(BreakerByHand::Closed));
        assert_eq!(ledger.breaker("b"), Some(BreakerByHand::Tripped));
        assert_eq!(ledger.breaker("c"), None);
        assert_eq!(
            actions(&ledger),
            [
                (AuditAction::Set, 1, "ann"),
                (AuditAction::Set, 2, "ann"),
                (AuditAction::Replaced, 1, "bob"),
                (AuditAction::Set, 3, "bob")
            ]
        );
    }

    #[test]
    fn faults_stand_beside_each_other_and_levels_do_not() {
        let mut ledger = Ledger::default();
        for delay_ms in [100, 200] {
            ledger.set(fault("a", delay_ms), None, by("ann"), Wall(1));
            ledger.set(level("shop", 1), None, by("ann"), Wall(1));
        }
        assert_eq!(ledger.faults("a").iter().map(|fault| fault.delay_ms).collect::<Vec<_>>(), [100, 200]);
        assert_eq!(ledger.items().len(), 3);
    }

    #[test]
    fn what_has_lasted_long_enough_ends_and_says_so() {
        let mut ledger = Ledger::default();
        ledger.set(fault("a", 1), Some(Duration::from_secs(5)), by("ann"), Wall(SECOND));
        ledger.set(fault("a", 2), None, by("ann"), Wall(SECOND));
        assert_eq!(ledger.next_expiry(), Some(Wall(6 * SECOND)));
        assert_eq!(ledger.expire(Wall(6 * SECOND - 1)), []);
        assert_eq!(ledger.expire(Wall(6 * SECOND)).len(), 1);
        assert_eq!(ledger.faults("a").len(), 1);
        assert_eq!(actions(&ledger).last(), Some(&(AuditAction::Expired, 1, "expiry")));
        assert_eq!(ledger.next_expiry(), None);
    }

    #[test]
    fn what_is_taken_back_is_gone_and_said() {
        let mut ledger = Ledger::default();
        let id = ledger.set(breaker("a", BreakerByHand::Tripped), None, by("ann"), Wall(1)).id;
        assert_eq!(ledger.clear(|row| row.id == 99, &by("bob"), Wall(2)), []);
        assert_eq!(ledger.clear(|row| row.id == id, &by("bob"), Wall(2)).len(), 1);
        assert_eq!(ledger.breaker("a"), None);
        assert_eq!(actions(&ledger), [(AuditAction::Set, 1, "ann"), (AuditAction::Cleared, 1, "bob")]);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_makes_nothing_last_for_years() {
        let mut ledger = Ledger::default();
        ledger.set(fault("a", 1), Some(Duration::from_secs(5)), by("ann"), Wall(1_000_000 * SECOND));
        assert_eq!(ledger.expire(Wall(SECOND)), []);
        assert_eq!(ledger.next_expiry(), Some(Wall(6 * SECOND)));
        assert_eq!(ledger.expire(Wall(6 * SECOND)).len(), 1);
    }

    #[test]
    fn the_trail_is_bounded_and_counts_on() {
        let mut ledger = Ledger::default();
        for at in 0..AUDIT_ROWS as u64 {
            ledger.set(breaker("a", BreakerByHand::Tripped), None, by("ann"), Wall(at));
        }
        assert_eq!(ledger.audit().count(), AUDIT_ROWS);
        assert_eq!(ledger.audited(), 2 * AUDIT_ROWS as u64 - 1);
    }

    proptest! {
        /// However the clock jumps: once it goes on as it should, a setting ends within the time it was set for.
        #[test]
        fn nothing_outlasts_its_time(
            lasts_s in 1u64..100,
            looks in prop::collection::vec((1u64..10, any::<bool>(), 0u64..10_000), 1..200),
        ) {
            let mut ledger = Ledger::default();
            let (mut wall, mut passed) = (5_000 * SECOND, 0);
            ledger.set(fault("a", 1), Some(Duration::from_secs(lasts_s)), by("ann"), Wall(wall));
            for (step_s, jumps, to_s) in looks {
                (wall, passed) = (wall + step_s * SECOND, passed + step_s);
                if jumps {
                    (wall, passed) = (to_s * SECOND, 0);
                }
                ledger.expire(Wall(wall));
                prop_assert!(ledger.items().is_empty() || passed < lasts_s, "{passed} s of {lasts_s}");
            }
        }

        /// Whatever is done, at most one breaker stands per route and one level per application, and everything that
        /// stands was set, and everything that does not was said to be gone.
        #[test]
        fn the_trail_tells_everything(
            steps in prop::collection::vec((0u8..4, 0u8..3, 1u64..50), 1..100),
        ) {
            let mut ledger = Ledger::default();
            let mut now = Wall(SECOND);
            for (kind, subject, seconds) in steps {
                let name = format!("route-{subject}");
                let lasts = (seconds % 2 == 0).then_some(Duration::from_secs(seconds));
                match kind {
                    0 => drop(ledger.set(breaker(&name, BreakerByHand::Closed), lasts, by("ann"), now)),
                    1 => drop(ledger.set(level(&name, subject), lasts, by("ann"), now)),
                    2 => drop(ledger.set(fault(&name, 1), lasts, by("ann"), now)),
                    _ => drop(ledger.clear(|row| row.id % 3 == u64::from(subject), &by("bob"), now)),
                }
                now = now + Duration::from_secs(seconds / 2);
                ledger.expire(now);
            }
            for (index, row) in ledger.items().iter().enumerate() {
                let same = |other: &OverrideRow| same_subject(&row.setting, &other.setting);
                prop_assert!(!ledger.items()[index + 1..].iter().any(same));
            }
            let count = |is: fn(AuditAction) -> bool| ledger.audit().filter(|row| is(row.action)).count();
            if ledger.audited() <= AUDIT_ROWS as u64 {
                let begun = count(|action| action == AuditAction::Set);
                prop_assert_eq!(begun - count(|action| action != AuditAction::Set), ledger.items().len());
            }
        }
    }
}
