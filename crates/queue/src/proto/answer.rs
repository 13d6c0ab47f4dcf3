//! An answer read back: how callers within the process hear what a client would.

use bytes::Bytes;

use crate::names::JobId;

/// An answer as the caller needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `INSERTED`.
    Inserted(JobId),
    /// `RESERVED` and `FOUND`.
    Job(JobId, Bytes),
    /// `KICKED` with a number.
    Kicked(u64),
    /// `OK`.
    Text(Bytes),
    /// Anything else: its line.
    Word(String),
}

impl Answer {
    /// Reads the first answer, and how many bytes it takes. `None` when it is not whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Answer, usize)> {
        let end = memchr::memmem::find(bytes, b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let rest = end + 2;
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (id, len) = match word {
            "RESERVED" | "FOUND" => (number(), number()),
            "OK" => (None, number()),
            _ => (number(), None),
        };
        let Some(len) = len else {
            let answer = match (word, id) {
                ("INSERTED", Some(id)) => Answer::Inserted(JobId(id)),
                ("KICKED", Some(jobs)) => Answer::Kicked(jobs),
                _ => Answer::Word(line.to_owned()),
            };
            return Some((answer, rest));
        };
        let body = bytes.get(rest..)?.get(..usize::try_from(len).ok()?)?;
        let body_end = rest + body.len();
        bytes.get(body_end..body_end + 2)?;
        let body = Bytes::copy_from_slice(body);
        let answer = id.map_or(Answer::Text(body.clone()), |id| Answer::Job(JobId(id), body));
        Some((answer, body_end + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::reply::Reply;

    #[test]
    fn what_is_written_is_read_back() {
        let answers = [
            (Reply::Inserted(JobId(7)), Answer::Inserted(JobId(7))),
            (Reply::Reserved(JobId(8), b"a\r\nb"), Answer::Job(JobId(8), Bytes::from_static(b"a\r\nb"))),
            (Reply::Found(JobId(9), b""), Answer::Job(JobId(9), Bytes::new())),
            (Reply::Kicked(3), Answer::Kicked(3)),
            (Reply::KickedJob, Answer::Word("KICKED".into())),
            (Reply::Ok(b"---\n"), Answer::Text(Bytes::from_static(b"---\n"))),
            (Reply::OutOfMemory, Answer::Word("OUT_OF_MEMORY".into())),
        ];
        let mut bytes = Vec::new();
        for (reply, _) in &answers {
            reply.write(&mut bytes);
        }
        let mut rest = &bytes[..];
        for (_, answer) in answers {
            let (read, len) = Answer::read(rest).unwrap();
            assert_eq!(read, answer);
            rest = &rest[len..];
        }
        assert_eq!(Answer::read(rest), None);
        assert_eq!(Answer::read(b"RESERVED 1 5\r\nab"), None, "half a body is none");
    }
}
