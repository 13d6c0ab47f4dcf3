//! From init to the application: what happens between `fork` and `exec`.

#![allow(unsafe_code, reason = "fork, close_range and execve; tested by tests/it/surroundings.rs")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit, setsid, umask};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{detach, pipes::WriteEnds, signals};
use crate::protocol::{Failure, Stage};
use crate::spec::Spec;

/// Starts the application and returns its process id as soon as `/bin/sh` runs in its place.
pub(super) fn spawn(
    spec: &Spec,
    secrets: Option<&PathBuf>,
    cgroups: &[PathBuf],
    pipes: WriteEnds,
) -> Result<u32, Failure> {
    let exec = Exec::new(spec, secrets);
    let failed = |errno: rustix::io::Errno| Failure::system(Stage::Fork, errno);
    // The write end closes itself when `exec` succeeds; what is read before that is the reason why it did not.
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    // SAFETY: init has one thread, so the child may do whatever init could do.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(Failure::system(Stage::Fork, io::Error::last_os_error())),
        0 => {
            let (stage, error) = become_application(spec, cgroups, &pipes, &exec);
            let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
            let mut word = [0; 5];
            word[0] = stage as u8;
            word[1..].copy_from_slice(&errno.to_le_bytes());
            let said = File::from(tell).write_all(&word).is_ok();
            // SAFETY: ends this process at once; nothing of init's may run here.
            unsafe { libc::_exit(if said { 126 } else { 125 }) }
        }
        pid => pid,
    };
    drop(tell);
    let mut word = vec![];
    File::from(told).read_to_end(&mut word).map_err(|e| Failure::system(Stage::Fork, e))?;
    match word.split_first_chunk::<5>() {
        None => Ok(pid.unsigned_abs()),
        Some(([stage, errno @ ..], _)) => {
            // It has ended itself: nothing to kill, but a zombie to reap.
            let reaped =
                rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty());
            debug_assert!(reaped.is_ok());
            let stage = Stage::from_index(*stage).unwrap_or(Stage::Exec);
            Err(failure_of(stage, i32::from_le_bytes(*errno), spec))
        }
    }
}

/// Whether the application's user can be taken at all, before anything is given to it.
pub(super) fn check_user(spec: &Spec) -> Result<(), Failure> {
    let me = rustix::process::geteuid();
    match spec.uid {
        Some(uid) if !me.is_root() && me.as_raw() != uid => Err(failure_of(Stage::Uid, libc::EPERM, spec)),
        _ => Ok(()),
    }
}

fn failure_of(stage: Stage, errno: i32, spec: &Spec) -> Failure {
    let detail = match stage {
        Stage::Folder => Some(spec.folder.display().to_string()),
        Stage::Uid => spec.uid.map(|uid| format!("uid {uid}")),
        _ => None,
    };
    Failure { stage, errno: Some(errno), detail }
}

/// Returns only when something failed.
fn become_application(spec: &Spec, cgroups: &[PathBuf], pipes: &WriteEnds, exec: &Exec) -> (Stage, io::Error) {
    let steps = || -> Result<(), (Stage, io::Error)> {
        setsid().map_err(at(Stage::Fork))?;
        signals::reset();
        streams(pipes).map_err(|e| (Stage::Pipes, e))?;
        for folder in cgroups {
            fs::write(folder.join("cgroup.procs"), "0").map_err(|e| (Stage::Limits, e))?;
        }
        limits(spec).map_err(at(Stage::Limits))?;
        if let Some(uid) = spec.uid {
            become_user(uid).map_err(at(Stage::Uid))?;
        }
        set_no_new_privs(true).map_err(at(Stage::Uid))?;
        umask(Mode::from_raw_mode(0o077));
        rustix::process::chdir(&spec.folder).map_err(at(Stage::Folder))
    };
    match steps() {
        Ok(()) => (Stage::Exec, exec.run()),
        Err(failed) => failed,
    }
}

fn at(stage: Stage) -> impl Fn(rustix::io::Errno) -> (Stage, io::Error) {
    move |errno| (stage, errno.into())
}

/// 0 is `/dev/null`, 1 and 2 are the pipes, and nothing else survives `exec`.
fn streams(pipes: &WriteEnds) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    detach::replace(0, null.as_raw_fd())?;
    detach::replace(1, pipes.stdout.as_raw_fd())?;
    detach::replace(2, pipes.stderr.as_raw_fd())?;
    // SAFETY: only marks descriptors; all of ours are close-on-exec anyway, this is for those that were inherited.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match marked {
        0 => Ok(()),
        // Linux before 5.11.
        _ => close_on_exec_one_by_one(),
    }
}

fn close_on_exec_one_by_one() -> io::Result<()> {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    for fd in 3..i32::try_from(all).unwrap_or(i32::MAX) {
        // SAFETY: only marks a descriptor; one that is not open is no harm.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

fn limits(spec: &Spec) -> rustix::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    if let Some(open_files) = spec.limits.open_files_max {
        let hard = getrlimit(Resource::Nofile).maximum;
        let soft = u64::from(open_files).min(hard.unwrap_or(u64::MAX));
        setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: hard })?;
    }
    Ok(())
}

/// Gives up every group and every id, saved ones too.
fn become_user(uid: u32) -> rustix::io::Result<()> {
    if rustix::process::geteuid().as_raw() == uid && !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}

/// The arguments of `execve`, made before the fork.
struct Exec {
    line: CString,
    env: Vec<CString>,
}

impl Exec {
    fn new(spec: &Spec, secrets: Option<&PathBuf>) -> Exec {
        let mut env: Vec<_> = spec.env.iter().filter(|(name, _)| name != "FOREBAY_SECRETS").map(variable).collect();
        if let Some(folder) = secrets {
            env.push(variable(&("FOREBAY_SECRETS".into(), folder.into())));
        }
        Exec { line: c_string(shell_line(&spec.command).into_bytes()), env }
    }

    fn run(&self) -> io::Error {
        let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), self.line.as_ptr(), std::ptr::null()];
        let mut env: Vec<_> = self.env.iter().map(|variable| variable.as_ptr()).collect();
        env.push(std::ptr::null());
        // SAFETY: both lists end in null and point to NUL-terminated strings that live in `self`.
        unsafe { libc::execve(c"/bin/sh".as_ptr(), arguments.as_ptr(), env.as_ptr()) };
        io::Error::last_os_error()
    }
}

fn variable((name, value): &(std::ffi::OsString, std::ffi::OsString)) -> CString {
    c_string([name.as_bytes(), b"=", value.as_bytes()].concat())
}

fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("Spec::check refuses NUL bytes")
}

/// Words that only the shell itself can run.
const SHELL_WORDS: [&str; 24] = [
    "!", ".", ":", "alias", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "read", "readonly",
    "set", "shift", "trap", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// A plain command replaces the shell, so that signals reach it and nothing lies between; one that needs the shell
/// (several commands, or a variable set in front) is left to it.
fn shell_line(command: &str) -> String {
    let command = command.trim();
    let first = command.split_whitespace().next().unwrap_or_default();
    let compound = command.contains([';', '&', '|', '\n', '(', ')', '{', '}', '`', '#']);
    let word = SHELL_WORDS.contains(&first);
    if compound || word || first.contains('=') { command.into() } else { format!("exec {command}") }
}

#[cfg(test)]
mod tests {
    use super::shell_line;

    #[test]
    fn a_plain_command_replaces_the_shell_and_no_other() {
        assert_eq!(shell_line(" python3 web.py --port $PORT "), "exec python3 web.py --port $PORT");
        for compound in
            ["cd web && ./run", "PORT=1 ./run", "./run | tee log", "exec ./run", "a; b", "(a)", "a &", "exit 3"]
        {
            assert_eq!(shell_line(compound), compound);
        }
    }
}
