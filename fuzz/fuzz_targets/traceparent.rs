//! Any bytes as a `traceparent`: read as the specification says, or refused; and what was read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stdx::trace::TraceContext;

fuzz_target!(|bytes: &[u8]| {
    let read = TraceContext::parse(bytes);
    assert_eq!(read.is_ok(), is_traceparent(bytes), "{read:?}");
    if let Ok(context) = read {
        let written = context.to_bytes();
        assert_eq!(written[3..53], bytes[3..53]);
        assert_eq!(TraceContext::parse(&written), Ok(context));
    }
});

/// W3C Trace Context, section 3.2, read once more.
fn is_traceparent(bytes: &[u8]) -> bool {
    let Some((known, more)) = bytes.split_at_checked(55) else { return false };
    let Ok(text) = std::str::from_utf8(known) else { return false };
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let has_value = |part: &str| part.bytes().any(|byte| byte != b'0');
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(is_hex)
        && parts[0] != "ff"
        && has_value(parts[1])
        && has_value(parts[2])
        && (more.is_empty() || (parts[0] != "00" && more[0] == b'-'))
}
