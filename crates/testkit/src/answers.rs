//! The answers of a beanstalkd, read one by one by a reader that shares no code with what writes them.

/// Words that stand alone in their line.
const WORDS: [&str; 20] = [
    "DELETED",
    "RELEASED",
    "BURIED",
    "TOUCHED",
    "NOT_IGNORED",
    "KICKED",
    "PAUSED",
    "NOT_FOUND",
    "TIMED_OUT",
    "DEADLINE_SOON",
    "DRAINING",
    "JOB_TOO_BIG",
    "EXPECTED_CRLF",
    "BAD_FORMAT",
    "UNKNOWN_COMMAND",
    "OUT_OF_MEMORY",
    "NOT_AUTHORIZED",
    "FAILED",
    "TRACING",
    "LEASE_LOST",
];

/// How many whole answers `bytes` are. `INTERNAL_ERROR` is none: nothing that a client says may cause it.
///
/// # Errors
/// What stands where an answer should, or the last one as far as it goes.
pub fn count(bytes: &[u8]) -> Result<usize, String> {
    let (mut rest, mut answers) = (bytes, 0);
    while !rest.is_empty() {
        rest = one(rest).ok_or_else(|| String::from_utf8_lossy(&rest[..rest.len().min(300)]).into_owned())?;
        answers += 1;
    }
    Ok(answers)
}

/// What follows the first answer.
fn one(bytes: &[u8]) -> Option<&[u8]> {
    let (line, rest) = line(bytes)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [word] if WORDS.contains(&word) => Some(rest),
        ["INSERTED" | "WATCHING" | "KICKED", number] => is_number(number).then_some(rest),
        ["USING", tube] => (!tube.is_empty()).then_some(rest),
        ["TRACE", context] => (context.len() == 55).then_some(rest),
        ["OK", len] => body(rest, len),
        ["FOUND" | "RESERVED", id, len] | ["DELETED_BATCH", id, len] => is_number(id).then(|| body(rest, len))?,
        ["RESERVED_BATCH", jobs] => (0..jobs.parse().ok()?).try_fold(rest, |rest, _: usize| leased(rest)),
        _ => None,
    }
}

fn leased(bytes: &[u8]) -> Option<&[u8]> {
    let (line, rest) = line(bytes)?;
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["RESERVED", id, len, lease] if is_number(id) && is_number(lease) => body(rest, len),
        _ => None,
    }
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

fn body<'a>(bytes: &'a [u8], len: &str) -> Option<&'a [u8]> {
    bytes.get(len.parse::<usize>().ok()?..)?.strip_prefix(b"\r\n")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_counted_and_anything_else_is_named() {
        let sound =
            "INSERTED 1\r\nFOUND 1 2\r\n\r\n\r\nOK 4\r\n---\n\r\nRESERVED_BATCH 1\r\nRESERVED 1 1 7\r\nx\r\nKICKED\r\n";
        assert_eq!(count(sound.as_bytes()), Ok(5));
        for bad in [
            "INSERTED\r\n",
            "FOUND 1 2\r\nx\r\n",
            "deleted\r\n",
            "DELETED",
            "INTERNAL_ERROR\r\n",
            "RESERVED_BATCH 1\r\n",
        ] {
            assert_eq!(count(bad.as_bytes()), Err(bad.into()));
        }
    }
}
