//! One command line.

use stdx::trace::TraceContext;

use super::args::Args;
use super::leased::Then;
use super::put_with::PutWith;
use crate::door::BATCH_JOBS_MAX;
use crate::names::{JobId, TubeName};

/// A command as it was sent, without the body of `put`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Put(Put),
    /// Forebay's own: a put that asks for more than the usual.
    PutWith(Put, PutWith<'a>),
    Use {
        tube: &'a str,
    },
    Reserve,
    ReserveWithTimeout {
        timeout_s: u32,
    },
    ReserveJob {
        id: JobId,
    },
    Delete {
        id: JobId,
    },
    Release {
        id: JobId,
        pri: u32,
        delay_s: u32,
    },
    Bury {
        id: JobId,
        pri: u32,
    },
    Touch {
        id: JobId,
    },
    Watch {
        tube: &'a str,
    },
    Ignore {
        tube: &'a str,
    },
    Peek {
        id: JobId,
    },
    PeekReady,
    PeekDelayed,
    PeekBuried,
    Kick {
        jobs_max: u32,
    },
    KickJob {
        id: JobId,
    },
    StatsJob {
        id: JobId,
    },
    StatsTube {
        tube: &'a str,
    },
    Stats,
    ListTubes,
    ListTubeUsed,
    ListTubesWatched,
    PauseTube {
        tube: &'a str,
        delay_s: u32,
    },
    Quit,
    /// Forebay's own: opens the namespace behind a token.
    Auth {
        token: &'a str,
    },
    /// Forebay's own: the context of the connection's next put.
    Trace {
        context: TraceContext,
    },
    /// Forebay's own: the attempt at a job failed.
    Fail {
        id: JobId,
        reason: &'a str,
    },
    /// Forebay's own: as `reserve`, but several jobs at once, with their leases.
    ReserveBatch {
        jobs_max: u32,
        timeout_s: Option<u32>,
    },
    /// Forebay's own: jobs whose numbers come as a body are deleted.
    DeleteBatch {
        bytes: u32,
    },
    /// Forebay's own: a command of a job's holder that counts only for one reservation.
    Leased {
        lease: u32,
        id: JobId,
        then: Then<'a>,
    },
    /// Forebay's own: the context in which a job was put.
    JobTrace {
        id: JobId,
    },
}

/// What a `put` line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) pri: u32,
    pub(crate) delay_s: u32,
    pub(crate) ttr_s: u32,
    pub(crate) bytes: u32,
    /// Something stands behind the numbers: BAD_FORMAT, unless the job is too big, which is said first.
    pub(crate) has_trailer: bool,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadFormat,
    UnknownCommand,
}

/// Reads a command line without its CRLF.
///
/// Commands are told apart by their beginning, as beanstalkd does: `quitx` quits and `statsfoo` is a malformed `stats`.
pub(crate) fn parse(line: &[u8]) -> Result<Command<'_>, Refusal> {
    if line.contains(&0) {
        return Err(Refusal::BadFormat);
    }
    let (verb, rest) = VERBS
        .iter()
        .find_map(|(word, verb)| line.strip_prefix(word.as_bytes()).map(|rest| (*verb, rest)))
        .ok_or(Refusal::UnknownCommand)?;
    read(verb, rest).ok_or(Refusal::BadFormat)
}

#[derive(Clone, Copy)]
enum Verb {
    Put,
    Peek,
    PeekReady,
    PeekDelayed,
    PeekBuried,
    ReserveWithTimeout,
    ReserveJob,
    Reserve,
    Delete,
    Release,
    Bury,
    KickJob,
    Kick,
    Touch,
    StatsJob,
    StatsTube,
    Stats,
    Use,
    Watch,
    Ignore,
    ListTubesWatched,
    ListTubeUsed,
    ListTubes,
    Quit,
    PauseTube,
    Auth,
    Trace,
    JobTrace,
    PutWith,
    Fail,
    ReserveBatch,
    DeleteBatch,
    Leased,
}

/// The first that a line begins with counts, so a longer one stands before its beginning.
const VERBS: &[(&str, Verb)] = &[
    ("put ", Verb::Put),
    ("reserve-with-timeout ", Verb::ReserveWithTimeout),
    ("reserve-job ", Verb::ReserveJob),
    ("reserve-batch ", Verb::ReserveBatch),
    ("reserve", Verb::Reserve),
    ("delete ", Verb::Delete),
    ("release ", Verb::Release),
    ("bury ", Verb::Bury),
    ("touch ", Verb::Touch),
    ("use ", Verb::Use),
    ("watch ", Verb::Watch),
    ("ignore ", Verb::Ignore),
    ("peek ", Verb::Peek),
    ("peek-ready", Verb::PeekReady),
    ("peek-delayed", Verb::PeekDelayed),
    ("peek-buried", Verb::PeekBuried),
    ("kick ", Verb::Kick),
    ("kick-job ", Verb::KickJob),
    ("stats-job ", Verb::StatsJob),
    ("stats-tube ", Verb::StatsTube),
    ("stats", Verb::Stats),
    ("list-tubes-watched", Verb::ListTubesWatched),
    ("list-tube-used", Verb::ListTubeUsed),
    ("list-tubes", Verb::ListTubes),
    ("quit", Verb::Quit),
    ("pause-tube", Verb::PauseTube),
    ("auth ", Verb::Auth),
    ("trace ", Verb::Trace),
    ("job-trace ", Verb::JobTrace),
    ("put-with ", Verb::PutWith),
    ("fail ", Verb::Fail),
    ("delete-batch ", Verb::DeleteBatch),
    ("leased ", Verb::Leased),
];

fn read(verb: Verb, rest: &[u8]) -> Option<Command<'_>> {
    let mut args = Args(rest);
    let command = match verb {
        Verb::Put => {
            let (pri, delay_s, ttr_s, bytes) = (args.u32()?, args.u32()?, args.u32()?, args.u32()?);
            return Some(Command::Put(Put { pri, delay_s, ttr_s, bytes, has_trailer: !args.0.is_empty() }));
        }
        Verb::PutWith => return super::put_with::read(args),
        Verb::Leased => return super::leased::read(args),
        Verb::ReserveBatch => {
            let jobs_max = args.u32().filter(|jobs| (1..=BATCH_JOBS_MAX).contains(&(*jobs as usize)))?;
            let timeout_s = if args.0.is_empty() { None } else { Some(args.u32()?) };
            Command::ReserveBatch { jobs_max, timeout_s }
        }
        Verb::DeleteBatch => Command::DeleteBatch { bytes: args.u32()? },
        Verb::Fail => {
            let id = args.id()?;
            let reason = std::str::from_utf8(args.0).ok()?.trim();
            return Some(Command::Fail { id, reason });
        }
        // What stands behind the number is not looked at.
        Verb::ReserveWithTimeout => {
            let timeout_s = args.u32().filter(|&timeout| i32::try_from(timeout).is_ok())?;
            return Some(Command::ReserveWithTimeout { timeout_s });
        }
        Verb::Kick => return Some(Command::Kick { jobs_max: args.strtoul()? as u32 }),
        Verb::Quit => return Some(Command::Quit),
        Verb::Use => return TubeName::check(rest).map(|tube| Command::Use { tube }),
        Verb::Watch => return TubeName::check(rest).map(|tube| Command::Watch { tube }),
        Verb::Ignore => return TubeName::check(rest).map(|tube| Command::Ignore { tube }),
        Verb::StatsTube => return TubeName::check(rest).map(|tube| Command::StatsTube { tube }),
        Verb::Auth => return std::str::from_utf8(rest).ok().map(|token| Command::Auth { token }),
        Verb::Trace => return TraceContext::parse(rest).ok().map(|context| Command::Trace { context }),
        Verb::Reserve => Command::Reserve,
        Verb::ReserveJob => Command::ReserveJob { id: args.id()? },
        Verb::Delete => Command::Delete { id: args.id()? },
        Verb::Release => Command::Release { id: args.id()?, pri: args.u32()?, delay_s: args.u32()? },
        Verb::Bury => Command::Bury { id: args.id()?, pri: args.u32()? },
        Verb::Touch => Command::Touch { id: args.id()? },
        Verb::Peek => Command::Peek { id: args.id()? },
        Verb::PeekReady => Command::PeekReady,
        Verb::PeekDelayed => Command::PeekDelayed,
        Verb::PeekBuried => Command::PeekBuried,
        Verb::KickJob => Command::KickJob { id: args.id()? },
        Verb::StatsJob => Command::StatsJob { id: args.id()? },
        Verb::Stats => Command::Stats,
        Verb::ListTubes => Command::ListTubes,
        Verb::ListTubeUsed => Command::ListTubeUsed,
        Verb::ListTubesWatched => Command::ListTubesWatched,
        Verb::PauseTube => Command::PauseTube { tube: args.tube()?, delay_s: args.u32()? },
        Verb::JobTrace => Command::JobTrace { id: args.id()? },
    };
    args.0.is_empty().then_some(command)
}

#[cfg(test)]
mod tests;
