//! The thread that commits, so that the plane's never waits for a disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use stdx::io::Io;

use crate::batch::Batch;
use crate::committer::{Committed, Committer};
use crate::error::{CommitError, Poison};

/// A committer on a thread of its own. It sleeps until a batch comes; there is room for one batch to wait while another is
/// being committed, but a plane that submits only after the result of the last batch makes the best batches.
pub struct CommitThread {
    batches: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

/// A batch that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Another one waits already.
    #[error("a batch waits for the committer already")]
    Busy(Batch),
    /// The thread is gone.
    #[error("the committing thread has stopped")]
    Stopped(Batch),
}

impl CommitThread {
    /// Starts the thread. `on_result` is called on it, once per batch, as soon as the batch is on disk or is not; also
    /// once more if cleaning up after a batch failed. It must not block for long.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn<D: Io>(
        name: &str,
        committer: Committer<D>,
        on_result: impl FnMut(Result<Committed, CommitError>) + Send + 'static,
    ) -> io::Result<CommitThread> {
        let (batches, taken) = sync_channel(1);
        let thread = Builder::new().name(name.to_owned()).spawn(move || run(committer, taken, on_result))?;
        Ok(CommitThread { batches: Some(batches), thread: Some(thread) })
    }

    /// Hands over a batch; never blocks.
    ///
    /// # Errors
    /// [`SubmitError`] gives the batch back.
    pub fn submit(&self, batch: Batch) -> Result<(), SubmitError> {
        let Some(batches) = &self.batches else { return Err(SubmitError::Stopped(batch)) };
        batches.try_send(batch).map_err(|e| match e {
            TrySendError::Full(batch) => SubmitError::Busy(batch),
            TrySendError::Disconnected(batch) => SubmitError::Stopped(batch),
        })
    }

    /// Commits what was submitted, then ends the thread and waits for it. Dropping the handle does the same.
    pub fn stop(self) {}
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the callback of a committing thread panicked");
        }
    }
}

fn run<D: Io>(
    mut committer: Committer<D>,
    batches: Receiver<Batch>,
    mut on_result: impl FnMut(Result<Committed, CommitError>),
) {
    for batch in batches {
        let result = guarded(&mut committer, |committer| committer.commit(batch));
        let committed = result.is_ok();
        on_result(result);
        if committed && let Err(failed) = guarded(&mut committer, |committer| Ok(committer.clean_up()?)) {
            on_result(Err(failed));
        }
    }
}

/// A panic poisons the log: nobody knows how far the commit had come.
fn guarded<D: Io, T>(
    committer: &mut Committer<D>,
    step: impl FnOnce(&mut Committer<D>) -> Result<T, CommitError>,
) -> Result<T, CommitError> {
    catch_unwind(AssertUnwindSafe(|| step(committer))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let poison: Poison = committer.poison_panicked(text);
        Err(poison.into())
    })
}
