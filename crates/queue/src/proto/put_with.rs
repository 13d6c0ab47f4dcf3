//! `put-with PRI DELAY TTR BYTES [NAME=VALUE]...`: a put that asks for more than the usual.

use stdx::trace::TraceContext;

use super::args::Args;
use super::command::{Command, Put};

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 100;
/// The longest window of a key: 30 days.
pub(crate) const WINDOW_S_MAX: u32 = 30 * 86_400;

/// What can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PutWith<'a> {
    /// A second put with this key within the window is the same job.
    pub(crate) key: Option<&'a str>,
    pub(crate) window_s: Option<u32>,
    /// A second put with this key before the job is done is the same job.
    pub(crate) unique: Option<&'a str>,
    /// Jobs with the same one are handed out one after the other.
    pub(crate) order: Option<&'a str>,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) retry_delay_ms: Option<u64>,
    pub(crate) trace: Option<TraceContext>,
}

/// Reads what stands behind `put-with `.
pub(super) fn read<'a>(mut args: Args<'a>) -> Option<Command<'a>> {
    let (pri, delay_s, ttr_s, bytes) = (args.u32()?, args.u32()?, args.u32()?, args.u32()?);
    let put = Put { pri, delay_s, ttr_s, bytes, has_trailer: false };
    let mut with = PutWith::default();
    let rest = std::str::from_utf8(args.0).ok()?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=')?;
        match name {
            "key" => with.key = Some(key(value)?),
            "window" => with.window_s = Some(value.parse().ok().filter(|s| (1..=WINDOW_S_MAX).contains(s))?),
            "unique" => with.unique = Some(key(value)?),
            "order" => with.order = Some(key(value)?),
            "attempts" => with.attempts_max = Some(value.parse().ok()?),
            "retry-ms" => with.retry_delay_ms = Some(value.parse().ok()?),
            "trace" => with.trace = Some(TraceContext::parse(value.as_bytes()).ok()?),
            _ => return None,
        }
    }
    Some(Command::PutWith(put, with))
}

/// Visible ASCII, so that a key is the same wherever it is shown.
pub(crate) fn key(text: &str) -> Option<&str> {
    let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::command::{Refusal, parse};
    use super::*;

    #[test]
    fn a_put_asks_for_what_it_names() {
        let put = Put { pri: 1, delay_s: 2, ttr_s: 3, bytes: 4, has_trailer: false };
        let line = b"put-with 1 2 3 4 key=a=b window=60 unique=u order=o attempts=5 retry-ms=250";
        let with = PutWith {
            key: Some("a=b"),
            window_s: Some(60),
            unique: Some("u"),
            order: Some("o"),
            attempts_max: Some(5),
            retry_delay_ms: Some(250),
            trace: None,
        };
        assert_eq!(parse(line), Ok(Command::PutWith(put, with)));
        assert_eq!(parse(b"put-with 1 2 3 4"), Ok(Command::PutWith(put, PutWith::default())));
        for bad in ["key=", "key", "kex=a", "window=0", "window=9999999", "attempts=-1", "trace=x", "=", "key=\u{fc}"] {
            let line = format!("put-with 1 2 3 4 {bad}");
            assert_eq!(parse(line.as_bytes()), Err(Refusal::BadFormat), "{bad}");
        }
        assert_eq!(parse(b"put-with 1 2 3 4key=a"), Err(Refusal::BadFormat));
    }
}
