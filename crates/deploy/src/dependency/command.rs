//! A command that prints a number: bounded in time and output, with the application's user and a small environment.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use health::Failure;
use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes that a command may print.
const OUTPUT_BYTES_MAX: u64 = 4 << 10;
/// Bytes of what it printed that stand in a reason.
const SHOWN_BYTES: usize = 80;

/// What is run, and as whom. Clones are the same errand.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) command: String,
    pub(super) folder: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) uid: Option<u32>,
    pub(super) number_max: u32,
    /// Somebody reads what the last run says: what it left behind may hold its output open for long.
    pub(super) reading: Arc<AtomicBool>,
}

impl Errand {
    /// Runs it; blocks for `timeout` at most, and a moment to kill what is left.
    pub(super) fn run(&self, timeout: Duration) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::Io(format!("the command cannot be run: {error}"));
        if self.reading.load(SeqCst) {
            return Err(Failure::Io("what the command has started still holds its output open".into()));
        }
        let mut child = self.spawn().map_err(failed)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (done, ended) = mpsc::sync_channel(1);
        self.reading.store(true, SeqCst);
        let reading = Arc::clone(&self.reading);
        let reader = std::thread::Builder::new().name("dependency".into()).spawn(move || {
            let read = read(&mut child);
            reading.store(false, SeqCst);
            // Nobody waits any more when the time was up.
            done.send(read).ok();
        });
        if reader.is_err() {
            self.reading.store(false, SeqCst);
        }
        let ended = match reader {
            Ok(_) => ended.recv_timeout(timeout).ok(),
            Err(error) => Some(Err(error)),
        };
        if !matches!(ended, Some(Ok(_)))
            && let Some(group) = group
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a command that took too long has ended by itself");
        }
        match ended {
            Some(outcome) => self.judge(&outcome.map_err(failed)?),
            None => Err(Failure::Timeout(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.command).current_dir(&self.folder).env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command.spawn()
    }

    fn judge(&self, (status, output): &(ExitStatus, Vec<u8>)) -> Result<(), Failure> {
        if !status.success() {
            return Err(Failure::Io(format!("the command ended with {status}")));
        }
        let text = String::from_utf8_lossy(output);
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(number) if number <= f64::from(self.number_max) => Ok(()),
            Ok(number) => Err(Failure::Io(format!("it is {number}, more than {}", self.number_max))),
            Err(_) => {
                let shown: String = text.chars().take(SHOWN_BYTES).collect();
                Err(Failure::Io(format!("the command prints `{shown}`, which is no number")))
            }
        }
    }
}

/// Its output up to the bound, then its end. What it writes beyond the bound goes into a closed pipe.
fn read(child: &mut Child) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut output)?;
    }
    Ok((child.wait()?, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(command: &str, timeout: Duration) -> Result<(), String> {
        let env = vec![("PATH".into(), "/usr/bin:/bin".into()), ("LAG".into(), "3.5".into())];
        let errand = Errand {
            command: command.into(),
            folder: "/".into(),
            env,
            uid: None,
            number_max: 10,
            reading: Arc::default(),
        };
        errand.run(timeout).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_number_that_is_small_enough_is_well() {
        let long = Duration::from_secs(60);
        assert_eq!(says("echo $LAG", long), Ok(()));
        assert_eq!(says("echo 10", long), Ok(()));
        assert_eq!(says("echo 10.5", long).unwrap_err(), "it is 10.5, more than 10");
        assert_eq!(says("echo behind", long).unwrap_err(), "the command prints `behind`, which is no number");
        assert_eq!(says("echo NaN", long).unwrap_err(), "it is NaN, more than 10");
        assert_eq!(says("echo 1; exit 3", long).unwrap_err(), "the command ended with exit status: 3");
        assert_eq!(says("echo ${HOME-1}", long), Ok(()), "nothing of the node's environment is passed on");
    }

    #[test]
    fn what_takes_too_long_or_says_too_much_is_ended() {
        let late = says("sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert_eq!(late, "no answer within 50 ms");
        assert!(says("yes 1", Duration::from_secs(60)).is_err());
    }

    #[test]
    fn what_outlives_its_command_is_not_heaped_up() {
        let left = Errand {
            command: "setsid sleep 1 & echo 1".into(),
            folder: "/".into(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            uid: None,
            number_max: 10,
            reading: Arc::default(),
        };
        assert_eq!(left.run(Duration::from_millis(100)), Err(Failure::Timeout(100)));
        let again = left.run(Duration::from_millis(100)).unwrap_err().to_string();
        assert_eq!(again, "what the command has started still holds its output open");
        while left.reading.load(SeqCst) {
            std::thread::yield_now();
        }
        let quick = Errand { command: "echo 1".into(), ..left };
        assert_eq!(quick.run(Duration::from_secs(60)), Ok(()));
    }
}
