//! One command line.

use stdx::trace::TraceContext;

use super::leased::Then;
use super::put_with::PutWith;
use crate::door::BATCH_JOBS_MAX;
use crate::names::{JobId, TubeName, is_name_byte};

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

/// What is left of the line.
pub(super) struct Args<'a>(pub(super) &'a [u8]);

impl<'a> Args<'a> {
    /// Spaces, then digits; nothing else may stand before them.
    fn u64(&mut self) -> Option<u64> {
        let text = self.0.trim_ascii_start_spaces();
        let len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(len);
        if digits.is_empty() {
            return None;
        }
        let number = digits
            .iter()
            .try_fold(0u64, |number, &digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.u64().and_then(|number| u32::try_from(number).ok())
    }

    fn id(&mut self) -> Option<JobId> {
        self.u64().map(JobId)
    }

    /// A tube's name up to the first byte that cannot be in one.
    fn tube(&mut self) -> Option<&'a str> {
        let text = self.0.trim_ascii_start_spaces();
        let len = text.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(text.len());
        let (name, rest) = text.split_at(len);
        self.0 = rest;
        TubeName::check(name)
    }

    /// As C's `strtoul`, which beanstalkd reads the argument of `kick` with: white space and a sign before the digits are
    /// fine, so is anything behind them, and a negative number wraps around.
    fn strtoul(&mut self) -> Option<u64> {
        let text = self.0.trim_ascii_start();
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        if !digits.first()?.is_ascii_digit() {
            return None;
        }
        let number = Args(digits).u64()?;
        Some(if negative { number.wrapping_neg() } else { number })
    }
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    /// Without the spaces in front; other white space counts.
    fn trim_ascii_start_spaces(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != b' ').unwrap_or(self.len());
        &self[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::Command::*;
    use super::*;

    const BAD: Result<Command<'_>, Refusal> = Err(Refusal::BadFormat);
    const UNKNOWN: Result<Command<'_>, Refusal> = Err(Refusal::UnknownCommand);

    #[test]
    fn the_lines_of_the_specification_are_read() {
        let put = super::Put { pri: 1, delay_s: 2, ttr_s: 3, bytes: 4, has_trailer: false };
        assert_eq!(parse(b"put 1 2 3 4"), Ok(Put(put)));
        assert_eq!(parse(b"put   1  2 3    4"), Ok(Put(put)), "several spaces are fine");
        assert_eq!(parse(b"reserve-with-timeout 7"), Ok(ReserveWithTimeout { timeout_s: 7 }));
        assert_eq!(parse(b"release 1 2 3"), Ok(Release { id: JobId(1), pri: 2, delay_s: 3 }));
        assert_eq!(parse(b"pause-tube t 9"), Ok(PauseTube { tube: "t", delay_s: 9 }));
        assert_eq!(parse(b"kick-job 18446744073709551615"), Ok(KickJob { id: JobId(u64::MAX) }));
        assert_eq!(parse(b"list-tube-used"), Ok(ListTubeUsed));
        assert_eq!(parse(b"list-tubes-watched"), Ok(ListTubesWatched));
        assert_eq!(parse(b"auth s3cret"), Ok(Auth { token: "s3cret" }));
    }

    #[test]
    fn the_quirks_of_beanstalkd_are_kept() {
        assert_eq!(parse(b"quitx"), Ok(Quit));
        assert_eq!(parse(b"statsfoo"), BAD);
        assert_eq!(parse(b"reserve "), BAD);
        assert_eq!(parse(b"reserve-with-timeout 0 "), Ok(ReserveWithTimeout { timeout_s: 0 }));
        assert_eq!(parse(b"reserve-with-timeout -1"), BAD, "1.13, not 1.12");
        assert_eq!(parse(b"reserve-with-timeout 2147483648"), BAD);
        assert_eq!(parse(b"kick 1x"), Ok(Kick { jobs_max: 1 }));
        assert_eq!(parse(b"kick -1"), Ok(Kick { jobs_max: u32::MAX }));
        assert_eq!(parse(b"kick \t+7"), Ok(Kick { jobs_max: 7 }));
        assert_eq!(parse(b"kick x"), BAD);
        assert_eq!(parse(b"kick 99999999999999999999"), BAD);
        assert_eq!(parse(b"delete 1x"), BAD);
        assert_eq!(parse(b"delete 1 "), BAD);
        assert_eq!(parse(b"delete +1"), BAD);
        assert_eq!(parse(b"put 1 2 3 4294967296"), BAD);
        assert!(matches!(parse(b"put 1 2 3 4 "), Ok(Put(put)) if put.has_trailer));
        assert_eq!(parse(b"pause-tubet 1"), Ok(PauseTube { tube: "t", delay_s: 1 }));
        assert_eq!(parse(b"use -x"), BAD);
        assert_eq!(parse(b"use a b"), BAD);
        assert_eq!(parse(b"PUT 1 2 3 4"), UNKNOWN);
        assert_eq!(parse(b"put"), UNKNOWN);
        assert_eq!(parse(b""), UNKNOWN);
        assert_eq!(parse(b"sta\0ts"), BAD);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_a_command_or_refused(verb in 0..VERBS.len() + 1, rest: Vec<u8>, numbers: Vec<u64>) {
            let mut line = VERBS.get(verb).map_or_else(Vec::new, |(word, _)| word.as_bytes().to_vec());
            for number in numbers {
                line.extend_from_slice(format!("{number} ").as_bytes());
            }
            line.extend_from_slice(&rest);
            if let Ok(Use { tube } | Watch { tube } | StatsTube { tube } | PauseTube { tube, .. }) = parse(&line) {
                proptest::prop_assert!(TubeName::new(tube.as_bytes()).is_some());
            }
        }
    }
}
