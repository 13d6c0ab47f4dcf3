//! Routes that are being worked on: set by hand, they answer 503 by themselves, except to those who look whether it is done.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use control::wire::router::Maintenance;
use stdx::clock::Wall;

use crate::capacity::Page;
use crate::peers::TrustedPeers;

/// Whether one route is in maintenance. Costs one load while it is not.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    on: AtomicBool,
    rule: Mutex<Option<Arc<Rule>>>,
}

/// What holds meanwhile.
#[derive(Debug)]
pub(crate) struct Rule {
    set: Maintenance,
    until: Option<Wall>,
    allow: TrustedPeers,
}

impl Worked {
    /// Begins, goes on otherwise, or ends.
    pub(crate) fn set(&self, setting: Option<(&Maintenance, Option<Wall>)>) {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        if rule.as_ref().map(|rule| (&rule.set, rule.until)) == setting {
            return;
        }
        *rule = setting.map(|(set, until)| {
            // What cannot be read was refused before.
            let allow = TrustedPeers::parse(&set.allow).unwrap_or_default();
            Arc::new(Rule { set: set.clone(), until, allow })
        });
        self.on.store(rule.is_some(), Relaxed);
    }

    /// What holds, if it is on.
    pub(crate) fn rule(&self) -> Option<Arc<Rule>> {
        if !self.on.load(Relaxed) {
            return None;
        }
        self.rule.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Rule {
    pub(crate) fn lets_in(&self, client: IpAddr) -> bool {
        self.allow.contains(client)
    }

    /// What was said when it was set, or what is left of it if that is less.
    pub(crate) fn retry_after_s(&self, now: Wall) -> u32 {
        let left_s = self.until.map(|until| until.0.saturating_sub(now.0).div_ceil(1_000_000_000));
        let left_s = left_s.and_then(|left| u32::try_from(left).ok());
        self.set.retry_after_s.min(left_s.unwrap_or(u32::MAX)).max(1)
    }

    /// What was said when it was set.
    pub(crate) fn page(&self) -> Option<Page> {
        Some(Page::said(self.set.message.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_to_come_back_when_it_is_over_and_not_later() {
        let second = |n: u64| Wall(n * 1_000_000_000);
        let set = Maintenance { message: None, retry_after_s: 120, allow: Vec::new() };
        let worked = Worked::default();
        for (until, now, said) in
            [(None, 0, 120), (Some(1_000), 0, 120), (Some(1_000), 970, 30), (Some(1_000), 2_000, 1)]
        {
            worked.set(Some((&set, until.map(second))));
            assert_eq!(worked.rule().unwrap().retry_after_s(second(now)), said, "{until:?} {now}");
        }
        worked.set(None);
        assert!(worked.rule().is_none());
    }
}
