//! The application's processes: hearing of their ends, signalling them, killing what they leave behind.

use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use stdx::clock::Clock;

use super::serve::{Phase, Server};
use crate::exit::{End, Ended};
use crate::procs;

/// Rounds and pause of killing what was left behind.
const KILL_ROUNDS: u32 = 100;
const KILL_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

impl Server {
    /// Reaps every child that has ended, the application's or one that it left to us.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get().unsigned_abs() != self.init.ticket.child_pid {
                continue;
            }
            let ended = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Ended::Code(code),
                (None, Some(signal)) => Ended::Signal(signal),
                (None, None) => continue,
            };
            let end = End { ended, oom_kills: self.init.cgroup.oom_kills(), left_behind: 0 };
            let until = self.clock.mono() + Duration::from_millis(self.init.limits.drain_ms.into());
            self.phase = Phase::Draining { until, end };
        }
    }

    /// Only while the application's first process is not reaped: until then nobody else can have its number.
    pub(super) fn signal_group(&self, signal: i32) {
        let group = i32::try_from(self.init.ticket.child_pid).ok().and_then(Pid::from_raw);
        if let (Phase::Running, Some(group), Some(signal)) = (&self.phase, group, Signal::from_named_raw(signal))
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "the group has ended already");
        }
    }

    /// Kills everything that descends from us and waits for it to be gone, for half a second at most. Says how many
    /// processes there were.
    pub(super) fn kill_all(&mut self) -> u32 {
        self.signal_group(libc::SIGKILL);
        self.init.cgroup.kill();
        let mut seen = vec![];
        for _ in 0..KILL_ROUNDS {
            let left = procs::descendants(self.init.ticket.init_pid);
            if left.is_empty() {
                break;
            }
            for (pid, start) in left {
                procs::signal(pid, start, Signal::KILL);
                if !seen.contains(&pid) {
                    seen.push(pid);
                }
            }
            if poll(&mut [], Some(&KILL_PAUSE)).is_err() {
                continue;
            }
            self.reap();
        }
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    }
}
