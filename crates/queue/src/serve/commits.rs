//! Batches to the committer, results back: one wake per batch.

use std::rc::Rc;
use std::time::Duration;

use stdx::io::Io;
use wal::{Batch, CommitError, Committed, SubmitError};

use super::shell::{Results, Shell};

/// How long a batch waits for space on a full disk before it is tried again.
const FULL_RETRY: Duration = Duration::from_millis(250);

/// Runs until the shell is gone.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>, mut results: Results) {
    let mut refused: Option<Batch> = None;
    loop {
        tokio::select! {
            result = results.recv() => match result {
                Some(Ok(committed)) => {
                    committed_now(&shell, committed);
                    shell.committer_idle.set(true);
                    // First the disk gets something to do, then the clients their answers.
                    submit_next(&shell);
                    shell.after_change();
                }
                Some(Err(CommitError::DiskFull { batch, cause })) => {
                    let was_full = std::mem::replace(&mut shell.broker.borrow_mut().intake_mut().disk_full, true);
                    if !was_full {
                        tracing::error!(%cause, "the queue's disk is full; nothing is acknowledged until there is space");
                    }
                    refused = Some(batch);
                }
                Some(Err(CommitError::Poisoned(cause))) => fail(&shell, &cause.to_string()),
                None => return,
            },
            () = shell.commit.notified() => submit_next(&shell),
            () = tokio::time::sleep(FULL_RETRY), if refused.is_some() => {
                if let Some(batch) = refused.take() {
                    submit(&shell, batch);
                }
            }
        }
        shell.committed.notify_waiters();
    }
}

fn committed_now<D: Io>(shell: &Shell<D>, committed: Committed) {
    let mut broker = shell.broker.borrow_mut();
    broker.committed(committed);
    let answered = broker.take_answered();
    broker.pulse.arrives(shell.clock.mono(), answered);
}

fn submit_next<D: Io>(shell: &Shell<D>) {
    if !shell.committer_idle.get() {
        return;
    }
    let batch = if shell.stopping.get() {
        shell.broker.borrow_mut().next_batch_now()
    } else {
        shell.broker.borrow_mut().next_batch()
    };
    if let Some(batch) = batch {
        submit(shell, batch);
    }
}

/// Hands a batch to the committer, which is idle.
pub(super) fn submit<D: Io>(shell: &Shell<D>, batch: Batch) {
    let thread = shell.commit_thread.borrow();
    let submitted = thread.as_ref().map(|thread| thread.submit(batch));
    match submitted {
        Some(Ok(())) => {
            shell.committer_idle.set(false);
            drop(thread);
            shell.broker.borrow_mut().pulse.leaves(shell.clock.mono());
        }
        Some(Err(SubmitError::Busy(_) | SubmitError::Stopped(_))) | None => {
            drop(thread);
            fail(shell, "the committer's thread has ended");
        }
    }
}

/// Nothing is acknowledged from here on.
fn fail<D: Io>(shell: &Shell<D>, reason: &str) {
    shell.status.fail(reason);
    shell.broker.borrow_mut().fail(reason);
    shell.committer_idle.set(true);
    shell.after_change();
}
