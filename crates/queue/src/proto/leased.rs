//! `leased LEASE COMMAND`: a command of a job's holder that counts only for one reservation; and `ID:LEASE` in lists.

use super::args::Args;
use super::command::{Command, parse};
use crate::names::JobId;

/// What its holder does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then<'a> {
    Delete,
    Release { pri: u32, delay_s: u32 },
    Bury { pri: u32 },
    Touch,
    Fail { reason: &'a str },
}

/// Reads what stands behind `leased `.
pub(super) fn read<'a>(mut args: Args<'a>) -> Option<Command<'a>> {
    let lease = args.u32()?;
    let (id, then) = match parse(args.0.strip_prefix(b" ")?).ok()? {
        Command::Delete { id } => (id, Then::Delete),
        Command::Release { id, pri, delay_s } => (id, Then::Release { pri, delay_s }),
        Command::Bury { id, pri } => (id, Then::Bury { pri }),
        Command::Touch { id } => (id, Then::Touch),
        Command::Fail { id, reason } => (id, Then::Fail { reason }),
        _ => return None,
    };
    Some(Command::Leased { lease, id, then })
}

/// Jobs of a list, each with the reservation that it must be in.
pub(crate) type Named = Vec<(JobId, Option<u32>)>;

/// Reads `ID` and `ID:LEASE`, with white space between them; `None` when something else stands there, or more than `max`.
pub(crate) fn list(text: &[u8], max: usize) -> Option<Named> {
    let text = std::str::from_utf8(text).ok()?;
    let mut named = Vec::new();
    for word in text.split_ascii_whitespace() {
        if named.len() == max {
            return None;
        }
        let (id, lease) = word.split_once(':').map_or((word, None), |(id, lease)| (id, Some(lease)));
        // `parse` would take a sign.
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(id) || !lease.is_none_or(is_number) {
            return None;
        }
        named.push((JobId(id.parse().ok()?), lease.map(str::parse).transpose().ok()?));
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::super::command::Refusal;
    use super::*;

    #[test]
    fn what_a_holder_may_do_can_be_asked_under_a_lease() {
        let leased = |then| Ok(Command::Leased { lease: 3, id: JobId(17), then });
        assert_eq!(parse(b"leased 3 delete 17"), leased(Then::Delete));
        assert_eq!(parse(b"leased 3 release 17 5 60"), leased(Then::Release { pri: 5, delay_s: 60 }));
        assert_eq!(parse(b"leased 3 bury 17 5"), leased(Then::Bury { pri: 5 }));
        assert_eq!(parse(b"leased 3 touch 17"), leased(Then::Touch));
        assert_eq!(parse(b"leased 3 fail 17 no route"), leased(Then::Fail { reason: "no route" }));
        for bad in
            ["leased 3 kick-job 17", "leased 3 leased 3 touch 17", "leased touch 17", "leased 3  ", "leased 3touch 17"]
        {
            assert_eq!(parse(bad.as_bytes()), Err(Refusal::BadFormat), "{bad}");
        }
    }

    #[test]
    fn a_list_is_of_numbers_with_and_without_leases() {
        let all = vec![(JobId(1), None), (JobId(2), Some(7)), (JobId(3), None)];
        assert_eq!(list(b" 1 2:7\r\n3", 3), Some(all));
        assert_eq!(list(b"", 3), Some(vec![]));
        for bad in ["1 2 3 4", "x", "1:", ":1", "+1", "1:-1", "1:2:3", "18446744073709551616"] {
            assert_eq!(list(bad.as_bytes(), 3), None, "{bad}");
        }
    }
}
