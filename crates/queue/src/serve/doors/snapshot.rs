//! A copy of the log while the queue serves on.

use std::path::PathBuf;

use control::error::{ApiError, Kind};
use stdx::io::Io;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::Outcome;
use crate::backup::{self, Copied};

pub(super) async fn snapshot<D: Io>(shell: &Shell<D>, visit: &Visit<D>, to: PathBuf) -> Outcome<Copied> {
    visit.with(|broker, client, _| broker.await_state(client));
    visit.answer().await?;
    let (io, log) = shell.broker.borrow_mut().begin_copy();
    let _copying = Copying(shell);
    let copied = tokio::task::spawn_blocking(move || backup::take(&io, &log, &to)).await;
    let copied = copied.map_err(|error| ApiError::new(Kind::Failed, "backup_failed", error.to_string()))?;
    Ok(copied?)
}

/// Ends a copy, also when nobody waits for it any more: what it has got then is not whole, and it finds that out.
struct Copying<'s, D: Io>(&'s Shell<D>);

impl<D: Io> Drop for Copying<'_, D> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.broker.borrow_mut().end_copy();
        }
    }
}
