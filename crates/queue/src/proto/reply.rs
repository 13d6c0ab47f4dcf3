//! The one table of answers.

use std::io::Write;

use stdx::trace::TraceContext;

use crate::names::JobId;

/// An answer. Those with a body write it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    Inserted(JobId),
    Using(&'a str),
    Reserved(JobId, &'a [u8]),
    Found(JobId, &'a [u8]),
    Deleted,
    Released,
    Buried,
    Touched,
    Watching(usize),
    NotIgnored,
    Kicked(u32),
    KickedJob,
    Paused,
    Ok(&'a [u8]),
    NotFound,
    TimedOut,
    DeadlineSoon,
    Draining,
    JobTooBig,
    ExpectedCrlf,
    /// The command makes no sense.
    BadFormat,
    UnknownCommand,
    /// A limit stands in the way: of jobs, bytes, tubes, memory or disk.
    OutOfMemory,
    /// The plane has failed.
    InternalError,
    /// Forebay's own: `auth` opened a namespace.
    Authorized,
    /// Forebay's own: `auth` with a token that nobody has.
    NotAuthorized,
    /// Forebay's own: answer to `fail`.
    Failed,
    /// Forebay's own: answer to `trace`.
    Tracing,
    /// Forebay's own: answer to `job-trace`.
    JobTrace(TraceContext),
    /// Forebay's own: the job is not held under this lease any more.
    LeaseLost,
    /// Forebay's own: answer to `reserve-batch`.
    Batch(&'a [Leased<'a>]),
    /// Forebay's own: answer to `delete-batch`: how many are deleted, and which were not.
    DeletedBatch(u64, &'a [JobId]),
}

/// A job with the number of its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leased<'a> {
    pub(crate) id: JobId,
    pub(crate) lease: u32,
    pub(crate) body: &'a [u8],
}

impl Reply<'_> {
    /// Writes the answer behind what `out` holds.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Reply::Inserted(id) => number_line(out, b"INSERTED ", id.0),
            Reply::Using(tube) => {
                out.extend_from_slice(b"USING ");
                out.extend_from_slice(tube.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Reply::Reserved(id, body) => job(out, b"RESERVED ", id, body),
            Reply::Found(id, body) => job(out, b"FOUND ", id, body),
            Reply::Watching(tubes) => number_line(out, b"WATCHING ", tubes as u64),
            Reply::Kicked(jobs) => number_line(out, b"KICKED ", u64::from(jobs)),
            Reply::Ok(text) => {
                number_line(out, b"OK ", text.len() as u64);
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Reply::JobTrace(context) => {
                out.extend_from_slice(b"TRACE ");
                out.extend_from_slice(&context.to_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Reply::Batch(jobs) => {
                number_line(out, b"RESERVED_BATCH ", jobs.len() as u64);
                jobs.iter().for_each(|job| leased(out, job));
            }
            Reply::DeletedBatch(deleted, left) => {
                let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                let left = left.join(" ");
                out.extend_from_slice(b"DELETED_BATCH ");
                number(out, deleted);
                number_line(out, b" ", left.len() as u64);
                out.extend_from_slice(left.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            word => out.extend_from_slice(word.word()),
        }
    }

    /// The answers that are always the same.
    fn word(&self) -> &'static [u8] {
        match self {
            Reply::Deleted => b"DELETED\r\n",
            Reply::Released => b"RELEASED\r\n",
            Reply::Buried => b"BURIED\r\n",
            Reply::Touched => b"TOUCHED\r\n",
            Reply::NotIgnored => b"NOT_IGNORED\r\n",
            Reply::KickedJob => b"KICKED\r\n",
            Reply::Paused => b"PAUSED\r\n",
            Reply::NotFound => b"NOT_FOUND\r\n",
            Reply::TimedOut => b"TIMED_OUT\r\n",
            Reply::DeadlineSoon => b"DEADLINE_SOON\r\n",
            Reply::Draining => b"DRAINING\r\n",
            Reply::JobTooBig => b"JOB_TOO_BIG\r\n",
            Reply::ExpectedCrlf => b"EXPECTED_CRLF\r\n",
            Reply::BadFormat => b"BAD_FORMAT\r\n",
            Reply::UnknownCommand => b"UNKNOWN_COMMAND\r\n",
            Reply::OutOfMemory => b"OUT_OF_MEMORY\r\n",
            Reply::Authorized => b"AUTHORIZED\r\n",
            Reply::NotAuthorized => b"NOT_AUTHORIZED\r\n",
            Reply::Failed => b"FAILED\r\n",
            Reply::Tracing => b"TRACING\r\n",
            Reply::LeaseLost => b"LEASE_LOST\r\n",
            _ => b"INTERNAL_ERROR\r\n",
        }
    }
}

fn job(out: &mut Vec<u8>, word: &[u8], id: JobId, body: &[u8]) {
    out.extend_from_slice(word);
    number(out, id.0);
    out.push(b' ');
    number(out, body.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

fn leased(out: &mut Vec<u8>, job: &Leased<'_>) {
    out.extend_from_slice(b"RESERVED ");
    number(out, job.id.0);
    out.push(b' ');
    number(out, job.body.len() as u64);
    number_line(out, b" ", job.lease.into());
    out.extend_from_slice(job.body);
    out.extend_from_slice(b"\r\n");
}

fn number_line(out: &mut Vec<u8>, word: &[u8], value: u64) {
    out.extend_from_slice(word);
    number(out, value);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, value: u64) {
    write!(out, "{value}").expect("a Vec takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: Reply<'_>) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_are_spelled_as_the_protocol_says() {
        assert_eq!(written(Reply::Inserted(JobId(7))), "INSERTED 7\r\n");
        assert_eq!(written(Reply::Reserved(JobId(7), b"hi")), "RESERVED 7 2\r\nhi\r\n");
        assert_eq!(written(Reply::Ok(b"---\n- a\n")), "OK 8\r\n---\n- a\n\r\n");
        assert_eq!(written(Reply::Kicked(3)), "KICKED 3\r\n");
        assert_eq!(written(Reply::InternalError), "INTERNAL_ERROR\r\n");
        let jobs = [Leased { id: JobId(7), lease: 2, body: b"hi" }, Leased { id: JobId(9), lease: 1, body: b"" }];
        assert_eq!(written(Reply::Batch(&jobs)), "RESERVED_BATCH 2\r\nRESERVED 7 2 2\r\nhi\r\nRESERVED 9 0 1\r\n\r\n");
        assert_eq!(written(Reply::DeletedBatch(3, &[JobId(7), JobId(9)])), "DELETED_BATCH 3 3\r\n7 9\r\n");
        assert_eq!(written(Reply::DeletedBatch(3, &[])), "DELETED_BATCH 3 0\r\n\r\n");
    }
}
