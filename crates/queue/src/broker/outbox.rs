//! A connection's answers in order, each held back until what it depends on is on disk.

use std::collections::VecDeque;

use wal::Lsn;

use crate::proto::reply::Reply;

/// Bytes already sent that are kept at the front before the rest moves up.
const SENT_BYTES_MAX: usize = 64 << 10;

/// Capacity that an empty outbox may keep.
const IDLE_BYTES_MAX: usize = 4096;

/// The answers that one connection has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Up to here it was sent.
    sent: usize,
    /// Up to here it may be sent.
    released: usize,
    marks: VecDeque<Mark>,
}

/// Some answers that wait for one LSN.
#[derive(Debug)]
struct Mark {
    end: usize,
    lsn: Lsn,
    replies: usize,
}

impl Outbox {
    /// Adds an answer that may leave once `lsn` and all before it are durable; says whether it has to wait.
    pub(crate) fn push(&mut self, reply: &Reply<'_>, lsn: Lsn, durable: Lsn) -> bool {
        reply.write(&mut self.bytes);
        let end = self.bytes.len();
        match self.marks.back_mut() {
            None if lsn <= durable => {
                self.released = end;
                return false;
            }
            Some(last) if last.lsn >= lsn => {
                last.end = end;
                last.replies += 1;
            }
            _ => self.marks.push_back(Mark { end, lsn, replies: 1 }),
        }
        true
    }

    /// Lets go of what waited for `durable` or less; says whether there was something and whether more waits.
    pub(crate) fn release(&mut self, durable: Lsn) -> Released {
        let before = self.released;
        while let Some(mark) = self.marks.front().filter(|mark| mark.lsn <= durable) {
            self.released = mark.end;
            self.marks.pop_front();
        }
        Released { some: self.released > before, more: !self.marks.is_empty() }
    }

    /// Nothing more will become durable: what waits is replaced by as many INTERNAL_ERRORs.
    pub(crate) fn fail(&mut self) {
        let replies: usize = self.marks.drain(..).map(|mark| mark.replies).sum();
        self.bytes.truncate(self.released);
        for _ in 0..replies {
            Reply::InternalError.write(&mut self.bytes);
        }
        self.released = self.bytes.len();
    }

    /// What may be sent now.
    pub(crate) fn ready(&self) -> &[u8] {
        &self.bytes[self.sent..self.released]
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        assert!(self.sent <= self.released, "more was sent than was ready");
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.released = 0;
            self.bytes.clear();
            if self.bytes.capacity() > IDLE_BYTES_MAX {
                self.bytes = Vec::new();
            }
        } else if self.sent > SENT_BYTES_MAX {
            self.bytes.drain(..self.sent);
            self.released -= self.sent;
            self.marks.iter_mut().for_each(|mark| mark.end -= self.sent);
            self.sent = 0;
        }
    }

    /// Bytes not sent yet, whether they may be or not.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }
}

/// What [`Outbox::release`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    /// Something may be sent that could not before.
    pub(crate) some: bool,
    /// Something still waits.
    pub(crate) more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::JobId;

    #[test]
    fn an_answer_leaves_when_its_record_is_durable_and_not_before_those_ahead_of_it() {
        let mut outbox = Outbox::default();
        assert!(!outbox.push(&Reply::Touched, Lsn(1), Lsn(1)));
        assert!(outbox.push(&Reply::Inserted(JobId(1)), Lsn(3), Lsn(1)));
        assert!(outbox.push(&Reply::Touched, Lsn(1), Lsn(1)), "it must not overtake");
        assert!(outbox.push(&Reply::Deleted, Lsn(4), Lsn(1)));
        assert_eq!(outbox.ready(), b"TOUCHED\r\n");
        assert_eq!(outbox.release(Lsn(2)), Released { some: false, more: true });
        assert_eq!(outbox.release(Lsn(3)), Released { some: true, more: true });
        assert_eq!(outbox.ready(), b"TOUCHED\r\nINSERTED 1\r\nTOUCHED\r\n");
        outbox.sent(outbox.ready().len());
        outbox.release(Lsn(4));
        assert_eq!(outbox.ready(), b"DELETED\r\n");
    }

    #[test]
    fn after_a_failure_what_waited_is_answered_with_internal_error() {
        let mut outbox = Outbox::default();
        outbox.push(&Reply::Touched, Lsn(1), Lsn(1));
        outbox.push(&Reply::Inserted(JobId(1)), Lsn(2), Lsn(1));
        outbox.push(&Reply::Inserted(JobId(2)), Lsn(3), Lsn(1));
        outbox.fail();
        assert_eq!(outbox.ready(), b"TOUCHED\r\nINTERNAL_ERROR\r\nINTERNAL_ERROR\r\n");
    }
}
