//! Checkpoints are written by a thread that has the time.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use stdx::io::Io;

use super::shell::Shell;

/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_millis(500);

/// Writes checkpoints as they fall due.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let due = shell.broker.borrow_mut().due_checkpoint();
        let Some(due) = due else { continue };
        let written = tokio::task::spawn_blocking(move || due.write()).await;
        shell.broker.borrow_mut().checkpoint_written(written.unwrap_or_else(|e| Err(io::Error::other(e))));
        while shell.broker.borrow_mut().send_far() {
            tokio::task::yield_now().await;
        }
        // The alarm of a tube may ring earlier now.
        shell.timer.notify_one();
    }
}
