//! What happens by itself: leases, delays, waits; and once a second the housekeeping.

use std::rc::Rc;
use std::time::Duration;

use stdx::clock::Mono;
use stdx::io::Io;

use super::commits::submit;
use super::shell::Shell;

/// The timer looks at least this often, so that a jump of the wall clock is noticed.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Lets things happen when they are due.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>) {
    loop {
        let now = shell.now();
        if let Some(ahead_ms) = shell.take_clock_set() {
            shell.broker.borrow_mut().clock_was_set(ahead_ms);
        }
        let more = shell.broker.borrow_mut().tick(now);
        let idle = shell.broker.borrow().idle_for(now).unwrap_or(LOOK_MAX).min(LOOK_MAX);
        shell.timer_at.set(if more { Mono(0) } else { now.mono + idle });
        shell.after_change();
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(idle) => {}
            () = shell.timer.notified() => {}
        }
    }
}

/// Once a second: is there space on the disk, and do records wait that nobody else waits for?
pub(super) async fn keep_house<D: Io>(shell: Rc<Shell<D>>) {
    loop {
        look_at_the_disk(&shell);
        make_room(&shell).await;
        if shell.committer_idle.get() {
            let batch = shell.broker.borrow_mut().next_batch_now();
            if let Some(batch) = batch {
                submit(&shell, batch);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Where space is short and nothing is committed that would bring the next step, compaction goes on by itself.
async fn make_room<D: Io>(shell: &Rc<Shell<D>>) {
    const STEPS_MAX: usize = 256;
    for _ in 0..STEPS_MAX {
        let goes_on = shell.broker.borrow_mut().compact_if_tight();
        shell.after_change();
        if !goes_on {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A failed log needs no space any more.
fn look_at_the_disk<D: Io>(shell: &Shell<D>) {
    if shell.status.is_failed() {
        return;
    }
    let mut broker = shell.broker.borrow_mut();
    broker.look_at_the_disk();
    if broker.intake_mut().lacks_space() {
        shell
            .status
            .fill("its disk has less free than queue.disk_reserve_bytes: puts are refused until there is space");
    } else if let Some(reason) = broker.why_not_compacted() {
        shell.status.fill(reason);
    } else {
        shell.status.has_room();
    }
}
