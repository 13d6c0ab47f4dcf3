//! Control by hand: breakers, degrade levels, faults. Who set what, until when and why is written down before it takes
//! effect, so that a restart forgets nothing.

mod by_hand;
mod check;
mod file;
mod ledger;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use control::wire::router::{AuditRow, BreakerByHand, OverrideRow};
use stdx::clock::{SharedClock, Wall};
use stdx::io::Disk;
use tokio::sync::Notify;

pub use self::check::OverrideError;
pub use self::file::LoadError;
use self::ledger::Ledger;
use crate::capacity::Manual;
use crate::upstream::States;

/// The file's name in the router's data folder.
const FILE: &str = "overrides";
/// How often the wall clock is looked at while something ends by it: it may be set.
const LOOK: Duration = Duration::from_secs(1);
/// How soon to look again when somebody was writing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is set by hand: kept in a file, and carried into the shared states of the routes.
#[derive(Debug, Default)]
pub struct Overrides {
    ledger: Mutex<Ledger>,
    /// `None`: they are forgotten at the end of the process.
    path: Option<PathBuf>,
    changed: Notify,
    /// Another process has read the file.
    sealed: AtomicBool,
}

impl Overrides {
    /// Overrides that last no longer than this process.
    pub fn in_memory() -> Overrides {
        Overrides::default()
    }

    /// Those that `folder` holds; changes are written there.
    ///
    /// # Errors
    /// When there is a file that is not understood.
    pub fn open(folder: &Path) -> Result<Overrides, LoadError> {
        let path = folder.join(FILE);
        let ledger = Mutex::new(file::load(&Disk, &path)?);
        Ok(Overrides { ledger, path: Some(path), ..Overrides::default() })
    }

    /// Everything that is set, oldest first.
    pub(crate) fn rows(&self) -> Vec<OverrideRow> {
        self.lock().items().to_vec()
    }

    /// The trail, oldest first.
    pub(crate) fn audit(&self) -> Vec<AuditRow> {
        self.lock().audit().cloned().collect()
    }

    /// Carries everything into the states, of which some may be new.
    pub(crate) fn apply(&self, states: &States) {
        apply(&self.lock(), states);
    }

    /// Changes the ledger: on disk first, then in force. Blocks on the disk.
    ///
    /// # Errors
    /// That of `change`, or that it cannot be written down; then nothing has changed.
    fn change<T>(
        &self,
        states: &States,
        now: Wall,
        change: impl FnOnce(&mut Ledger) -> Result<T, OverrideError>,
    ) -> Result<T, OverrideError> {
        let mut ledger = self.lock();
        if self.sealed.load(SeqCst) {
            return Err(OverrideError::Sealed);
        }
        let before = ledger.audited();
        let mut next = ledger.clone();
        next.expire(now);
        let changed = change(&mut next)?;
        if let Some(path) = &self.path {
            file::save(&Disk, path, &next).map_err(OverrideError::NotSaved)?;
        }
        *ledger = next;
        apply(&ledger, states);
        say(&ledger, before);
        drop(ledger);
        self.changed.notify_one();
        Ok(changed)
    }

    /// Lets nothing be changed any more, or lets it again.
    pub(crate) fn seal(&self, sealed: bool) {
        let _nobody_writes = self.lock();
        self.sealed.store(sealed, SeqCst);
    }

    /// Ends what has lasted long enough; returns when to look again. Never waits for somebody who writes. What has ended is
    /// written down with the next change; until then a restart ends it again.
    fn expire(&self, states: &States, now: Wall) -> Option<Duration> {
        let mut ledger = match self.ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(LOOK_AGAIN),
        };
        let before = ledger.audited();
        if !ledger.expire(now).is_empty() {
            apply(&ledger, states);
            say(&ledger, before);
        }
        ledger.next_expiry().map(|next| next.since(now).min(LOOK))
    }

    /// Ends each override when its time is up, for as long as the router runs.
    pub(crate) async fn keep(&self, states: &States, clock: &SharedClock) {
        loop {
            match self.expire(states, clock.wall()) {
                // Whatever ends the wait, the next look finds out.
                Some(wait) => drop(tokio::time::timeout(wait, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(ledger: &Ledger, states: &States) {
    for (app, state) in states.apps.all() {
        state.set(ledger.degrade(&app));
    }
    for (route, state) in states.routes.all() {
        state.faults.replace(ledger.faults(&route));
        state.worked.set(ledger.maintenance(&route));
        let manual = match ledger.breaker(&route) {
            None => Manual::Auto,
            Some(BreakerByHand::Tripped) => Manual::Tripped,
            Some(BreakerByHand::Closed) => Manual::Closed,
        };
        // The ledger ends it.
        state.breaker.by_hand().set(manual, None);
    }
}

/// Says in the log what the trail has got since it had `before` rows.
fn say(ledger: &Ledger, before: u64) {
    let news = ledger.audited().saturating_sub(before);
    for row in ledger.audit().rev().take(usize::try_from(news).unwrap_or(usize::MAX)).collect::<Vec<_>>().iter().rev() {
        let (what, why) = (row.setting.to_string(), row.why.as_deref().unwrap_or_default());
        tracing::warn!(id = row.id, what, who = row.who, why, "by hand: {}", row.action.word());
    }
}
