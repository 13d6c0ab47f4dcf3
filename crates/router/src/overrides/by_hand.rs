//! What an operator may do to a running router.

use std::time::Duration;

use control::wire::router::{AuditRow, OverrideRequest, OverrideRow};

use super::OverrideError;
use super::check::{self, Known, OVERRIDES_MAX};
use super::ledger::By;
use crate::handle::Handle;

impl Handle {
    /// Sets something by hand, in the name of `who`. Blocks on the disk.
    ///
    /// # Errors
    /// When it makes no sense, or cannot be written down; then nothing has changed.
    pub fn set_by_hand(&self, request: OverrideRequest, who: String) -> Result<OverrideRow, OverrideError> {
        let OverrideRequest { setting, for_ms, why } = request;
        let lasts = for_ms.map(Duration::from_millis);
        check::check(&setting, lasts, why.as_deref(), &self.known())?;
        let now = self.clock.wall();
        self.shared.overrides.change(&self.shared.states, now, |ledger| {
            if ledger.items().len() >= OVERRIDES_MAX {
                return Err(OverrideError::TooMany);
            }
            Ok(ledger.set(setting, lasts, By { who, why }, now))
        })
    }

    /// Takes back what is set by hand with this number. Blocks on the disk.
    ///
    /// # Errors
    /// When there is none, or it cannot be written down; then nothing has changed.
    pub fn clear_by_hand(&self, id: u64, who: String, why: Option<String>) -> Result<OverrideRow, OverrideError> {
        let now = self.clock.wall();
        self.shared.overrides.change(&self.shared.states, now, |ledger| {
            let cleared = ledger.clear(|row| row.id == id, &By { who, why }, now).pop();
            cleared.ok_or(OverrideError::NoSuchOverride(id))
        })
    }

    /// What is set by hand, oldest first.
    pub fn set_rows(&self) -> Vec<OverrideRow> {
        self.shared.overrides.rows()
    }

    /// Who set and took back what, oldest first.
    pub fn audit_rows(&self) -> Vec<AuditRow> {
        self.shared.overrides.audit()
    }

    fn known(&self) -> Known {
        let snapshot = self.shared.snapshot();
        let routes = &snapshot.source.routes;
        Known {
            routes: routes.iter().map(|route| route.name.clone()).collect(),
            scopes: routes.iter().filter_map(|route| route.scope.clone()).collect(),
        }
    }
}
