//! Which queries scan now: a few at once. One that waits for a reader who takes nothing gives its place to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::QueryError;
use crate::queries::pipe::{Pipe, PipeWriter};

/// A query whose reader has taken nothing for this long makes room for another, if all places are taken.
const STALLED: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Running {
    pipes: Arc<Mutex<Vec<Arc<Pipe>>>>,
}

/// A place among the running; dropping it gives it back.
pub(crate) struct Place {
    pipes: Arc<Mutex<Vec<Arc<Pipe>>>>,
    pipe: Arc<Pipe>,
}

impl Running {
    /// Takes one of `max` places for the query that writes to `pipe`.
    pub(crate) fn enter(&self, writer: &PipeWriter, max: u16) -> Result<Place, QueryError> {
        let pipe = Arc::clone(writer.shared());
        let mut pipes = lock(&self.pipes);
        if pipes.len() >= usize::from(max) {
            let now = writer.now();
            let stalled = pipes.iter().position(|p| p.blocked().is_some_and(|since| now.since(since) >= STALLED));
            let stalled = stalled.ok_or(QueryError::TooManyQueries { max })?;
            pipes.swap_remove(stalled).evict(QueryError::Stalled { seconds: STALLED.as_secs() });
        }
        pipes.push(Arc::clone(&pipe));
        drop(pipes);
        Ok(Place { pipes: Arc::clone(&self.pipes), pipe })
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(lock(&self.pipes).len()).unwrap_or(u16::MAX)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.pipes).retain(|pipe| !Arc::ptr_eq(pipe, &self.pipe));
    }
}

fn lock(pipes: &Mutex<Vec<Arc<Pipe>>>) -> MutexGuard<'_, Vec<Arc<Pipe>>> {
    pipes.lock().unwrap_or_else(PoisonError::into_inner)
}
