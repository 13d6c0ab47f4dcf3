//! Replaying what becomes of jobs that are not simply finished, and keys.

use stdx::io::Io;
use wal::Lsn;

use super::record::{Fate, Malformed};
use super::replay::Replay;
use crate::engine::{After, AttemptEnd, Window};

impl<D: Io> Replay<D> {
    /// A job may be unknown: its own record may have been in a damaged stretch of the log.
    pub(super) fn fate(&mut self, lsn: Lsn, fate: Fate<'_>) -> Result<(), Malformed> {
        match fate {
            Fate::Attempt { id, after, attempt } => {
                if let Some(After::Delayed { until_ms }) = after {
                    self.engine.update(id, |job| job.delay_s = attempt.wait_s(until_ms));
                }
                let Some(tube) = self.engine.job(id).map(|job| job.tube) else { return Ok(()) };
                if attempt.end == AttemptEnd::Failed {
                    self.engine.count_failure(tube);
                }
                let Some(mut facts) = self.engine.facts_mut(id) else { return Ok(()) };
                facts.more.get_or_insert_default().note(attempt);
                drop(facts);
                match after {
                    None => {}
                    Some(After::Ready) => self.engine.make_ready(id),
                    Some(After::Delayed { until_ms }) => self.engine.delay(id, until_ms),
                    Some(After::Buried) => self.engine.bury(id, lsn.0),
                }
            }
            Fate::Died { id, dead, to } => {
                let to = to.map(|to| self.tube(&to)).transpose()?;
                self.engine.die(id, dead, to);
            }
            Fate::Replayed { id, to } => {
                let to = self.tube(&to)?;
                self.engine.replay(id, to);
            }
            Fate::Key { id, until_ms, space, key } => {
                let space = self.space(space)?;
                self.engine.keys_mut().keep(space, key.into(), Window { id, until_ms, is_logged: true });
            }
        }
        Ok(())
    }
}
