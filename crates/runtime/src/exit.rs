//! How an application ended.

use std::fmt;

use serde::{Deserialize, Serialize};
use stdx::clock::Wall;

/// The end of an application, told after its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Follows the number of its last line; acknowledging it lets init go.
    pub seq: u64,
    /// When it ended.
    pub time: Wall,
    /// How it ended.
    pub end: End,
}

/// How a process ended and what is known of why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Code or signal.
    pub ended: Ended,
    /// Processes of the instance that the kernel killed because its memory limit was reached.
    #[serde(default)]
    pub oom_kills: u64,
    /// Processes that it left behind and that were killed.
    #[serde(default)]
    pub left_behind: u32,
}

/// Code or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Ended {
    /// Whether it ended with code 0.
    pub fn is_success(self) -> bool {
        self == Ended::Code(0)
    }
}

impl fmt::Display for End {
    /// `exit code 127 (command not found)`, `killed by SIGKILL (memory limit reached)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            Ended::Code(126) => f.write_str("exit code 126 (command not executable)")?,
            Ended::Code(127) => f.write_str("exit code 127 (command not found)")?,
            Ended::Code(code) => write!(f, "exit code {code}")?,
            Ended::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by {name}")?,
                None => write!(f, "killed by signal {signal}")?,
            },
        }
        if self.oom_kills > 0 { f.write_str(" (memory limit reached)") } else { Ok(()) }
    }
}

/// The names of signal(7) for signals that end processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ended: Ended, oom_kills: u64) -> String {
        End { ended, oom_kills, left_behind: 0 }.to_string()
    }

    #[test]
    fn an_end_is_said_in_words() {
        assert_eq!(said(Ended::Code(3), 0), "exit code 3");
        assert_eq!(said(Ended::Code(127), 0), "exit code 127 (command not found)");
        assert_eq!(said(Ended::Signal(9), 1), "killed by SIGKILL (memory limit reached)");
        assert_eq!(said(Ended::Signal(40), 0), "killed by signal 40");
    }
}
