//! From the bytes of a line to message, level, trace and fields. Pure; anything at all may come in.
//!
//! A line that is one JSON object becomes fields. Those that have a place of their own leave the fields when they are
//! understood: the message (`msg`, `message`, `event`), the level (`level`, `severity`, `lvl`), the trace (`trace_id`,
//! `traceparent`, `trace`) and the span (`span_id`). Everything else stays a field, a time among it. Any other line is
//! text.

use serde_json::{Map, Value};
use stdx::trace::{SpanId, TraceContext, TraceId};

use crate::level::Level;

/// What a line says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) message: String,
    pub(crate) fields: Map<String, Value>,
    pub(crate) level: Option<Level>,
    pub(crate) trace: Option<TraceId>,
    pub(crate) span: Option<SpanId>,
    /// The line's length, when only its beginning was kept.
    pub(crate) cut_from: Option<u64>,
    /// Sequences of bytes that were no UTF-8, each replaced by U+FFFD.
    pub(crate) replaced: u64,
}

/// Reads a line, keeping at most `bytes_max` of it. A line that had to be cut is text, whatever it began like.
pub(crate) fn parse(line: &[u8], bytes_max: usize) -> Parsed {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > bytes_max {
        let kept = &line[..char_boundary(line, bytes_max)];
        return Parsed { cut_from: Some(line.len() as u64), ..text(kept) };
    }
    match object(line) {
        Some(fields) => structured(fields),
        None => text(line),
    }
}

/// The longest length up to `max` that does not split a UTF-8 sequence.
pub(crate) fn char_boundary(bytes: &[u8], max: usize) -> usize {
    if max >= bytes.len() {
        return bytes.len();
    }
    let is_continuation = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    (max.saturating_sub(3)..=max).rev().find(|&at| !is_continuation(at)).unwrap_or(max)
}

fn text(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    parsed.message.reserve_exact(bytes.len());
    for chunk in bytes.utf8_chunks() {
        parsed.message.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            parsed.message.push(char::REPLACEMENT_CHARACTER);
            parsed.replaced += 1;
        }
    }
    parsed
}

fn object(line: &[u8]) -> Option<Map<String, Value>> {
    let trimmed = line.trim_ascii();
    if trimmed.first() != Some(&b'{') || trimmed.last() != Some(&b'}') {
        return None;
    }
    serde_json::from_slice(trimmed).ok()
}

fn structured(mut fields: Map<String, Value>) -> Parsed {
    let mut parsed = Parsed::default();
    for key in ["msg", "message", "event"] {
        if let Some(Value::String(message)) = fields.get_mut(key) {
            parsed.message = std::mem::take(message);
            fields.remove(key);
            break;
        }
    }
    parsed.level = take(&mut fields, &["level", "severity", "lvl"], level);
    if let Some((trace, span)) = take(&mut fields, &["trace_id", "traceparent", "trace"], trace) {
        parsed.trace = Some(trace);
        parsed.span = span;
    }
    if let Some(span) = take(&mut fields, &["span_id"], |value| value.as_str()?.to_ascii_lowercase().parse().ok()) {
        parsed.span = Some(span);
    }
    parsed.fields = fields;
    parsed
}

/// The first of `keys` that `read` understands; it leaves the fields.
fn take<T>(fields: &mut Map<String, Value>, keys: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let (key, found) = keys.iter().find_map(|key| Some((key, read(fields.get(*key)?)?)))?;
    fields.remove(*key);
    Some(found)
}

fn level(value: &Value) -> Option<Level> {
    match value {
        Value::String(word) => Level::from_word(word).or_else(|| word.parse().ok().and_then(Level::from_logger_number)),
        Value::Number(number) => number.as_u64().and_then(Level::from_logger_number),
        _ => None,
    }
}

/// 32 hex digits in either case, or a whole `traceparent`.
fn trace(value: &Value) -> Option<(TraceId, Option<SpanId>)> {
    let text = value.as_str()?;
    if text.len() == 32 {
        return Some((text.to_ascii_lowercase().parse().ok()?, None));
    }
    let context: TraceContext = text.parse().ok()?;
    Some((context.trace, Some(context.span)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn one(line: &str) -> Parsed {
        parse(line.as_bytes(), 1024)
    }

    /// line -> (message, level, the fields left)
    #[test]
    fn json_lines_become_fields() {
        let rows = [
            (r#"{"msg":"hi"}"#, "hi", None, json!({})),
            (r#"{"message":"hi","event":"e"}"#, "hi", None, json!({"event": "e"})),
            (r#"{"event":"started","port":80}"#, "started", None, json!({"port": 80})),
            (r#"{"msg":{"a":1},"message":"m"}"#, "m", None, json!({"msg": {"a": 1}})),
            (r#"{"level":"WARN","msg":""}"#, "", Some(Level::Warning), json!({})),
            (r#"{"level":50,"time":1,"msg":"pino"}"#, "pino", Some(Level::Error), json!({"time": 1})),
            (r#"{"level":"30"}"#, "", Some(Level::Info), json!({})),
            (r#"{"severity":"ERROR"}"#, "", Some(Level::Error), json!({})),
            (r#"{"lvl":"dbug"}"#, "", None, json!({"lvl": "dbug"})),
            (r#"{"level":"loud","severity":3}"#, "", Some(Level::Error), json!({"level": "loud"})),
            (r#"  {"msg":"spaces"}  "#, "spaces", None, json!({})),
            (r#"{"msg":"new\nline \u00e9"}"#, "new\nline é", None, json!({})),
        ];
        for (line, message, level, fields) in rows {
            let parsed = one(line);
            assert_eq!(parsed.message, message, "{line}");
            assert_eq!(parsed.level, level, "{line}");
            assert_eq!(Value::Object(parsed.fields), fields, "{line}");
        }
    }

    #[test]
    fn the_trace_is_found_in_each_of_its_forms() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let rows = [
            (json!({"trace_id": TRACE}), Some(TRACE), None, json!({})),
            (json!({"trace_id": TRACE.to_uppercase(), "span_id": SPAN}), Some(TRACE), Some(SPAN), json!({})),
            (json!({"traceparent": parent}), Some(TRACE), Some(SPAN), json!({})),
            (json!({"trace": parent}), Some(TRACE), Some(SPAN), json!({})),
            (json!({"trace_id": "0", "trace": TRACE}), Some(TRACE), None, json!({"trace_id": "0"})),
            (json!({"trace_id": "0".repeat(32)}), None, None, json!({"trace_id": "0".repeat(32)})),
            (json!({"trace": "at main.py:3"}), None, None, json!({"trace": "at main.py:3"})),
        ];
        for (line, trace, span, fields) in rows {
            let parsed = one(&line.to_string());
            assert_eq!(parsed.trace.map(|t| t.to_string()).as_deref(), trace, "{line}");
            assert_eq!(parsed.span.map(|s| s.to_string()).as_deref(), span, "{line}");
            assert_eq!(Value::Object(parsed.fields), fields, "{line}");
        }
    }

    #[test]
    fn what_is_no_json_object_stays_text() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(300), "]".repeat(300));
        for line in [r#"{"msg":"cut"#, r#"{"msg":1} tail"#, "[1,2]", "plain", "", "{", "{}x", "\u{0}\u{1b}[31m", &deep]
        {
            let parsed = one(line);
            assert_eq!(parsed.message, line);
            assert_eq!(parsed, Parsed { message: line.into(), ..Parsed::default() });
        }
        assert_eq!(one("windows\r\n").message, "windows");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_counted() {
        let parsed = parse(b"a\xff\xfeb\xc3", 1024);
        assert_eq!(parsed.message, "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(parsed.replaced, 3);
        assert_eq!(parse(b"{\"msg\":\"\xff\"}", 1024).message, "{\"msg\":\"\u{fffd}\"}");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_says_how_long_it_was() {
        let long = "é".repeat(40);
        let parsed = parse(long.as_bytes(), 11);
        assert_eq!(parsed.message, "ééééé");
        assert_eq!((parsed.cut_from, parsed.replaced), (Some(80), 0));
        let json = format!("{{\"msg\":\"{}\"}}", "x".repeat(100));
        assert_eq!(parse(json.as_bytes(), 20).message, &json[..20]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_record_within_the_limit(line in proptest::collection::vec(any::<u8>(), 0..200), max in 0usize..100) {
            let parsed = parse(&line, max);
            prop_assert!(parsed.replaced > 0 || parsed.message.len() <= max);
            let end = line.strip_suffix(b"\n").unwrap_or(&line);
            let end = end.strip_suffix(b"\r").unwrap_or(end);
            prop_assert_eq!(parsed.cut_from.is_some(), end.len() > max);
        }
    }
}
