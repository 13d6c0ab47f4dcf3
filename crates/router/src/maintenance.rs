//! Routes that are being worked on: set by hand, they answer 503 by themselves, except to those who look whether it is done.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use control::wire::router::Maintenance;

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
    allow: TrustedPeers,
}

impl Worked {
    /// Begins, goes on otherwise, or ends.
    pub(crate) fn set(&self, setting: Option<&Maintenance>) {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        if rule.as_ref().map(|rule| &rule.set) == setting {
            return;
        }
        *rule = setting.map(|set| {
            // What cannot be read was refused before.
            Arc::new(Rule { set: set.clone(), allow: TrustedPeers::parse(&set.allow).unwrap_or_default() })
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

    pub(crate) fn retry_after_s(&self) -> u32 {
        self.set.retry_after_s
    }

    /// What was said when it was set.
    pub(crate) fn page(&self) -> Option<Page> {
        Some(Page::said(self.set.message.as_ref()?))
    }
}
