//! An access record as a line of the combined log format, which web servers and the tools for their logs share.
//!
//! Source: Apache httpd, `mod_log_config`: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`.

use std::fmt::Write;

use http::HeaderValue;
use router::AccessRecord;

/// The line, without its end.
pub(crate) fn line(record: &AccessRecord) -> String {
    let mut line = format!("{} - ", record.client.ip().to_canonical());
    match record.agent.as_ref().and_then(|agent| agent.user.as_ref()) {
        Some(user) => escape(&mut line, user.as_bytes()),
        None => line.push('-'),
    }
    // Writing into a String cannot fail.
    write!(line, " [{}] \"", time(record)).unwrap_or_default();
    match &record.method {
        Some(method) => {
            escape(&mut line, method.as_str().as_bytes());
            line.push(' ');
            escape(&mut line, record.target.as_bytes());
            line.push_str(" HTTP/1.1");
        }
        None => line.push('-'),
    }
    let bytes = if record.reply_bytes == 0 { "-".to_string() } else { record.reply_bytes.to_string() };
    write!(line, "\" {} {bytes}", record.status).unwrap_or_default();
    let agent = record.agent.as_deref();
    quoted(&mut line, agent.and_then(|agent| agent.referer.as_ref()));
    quoted(&mut line, agent.and_then(|agent| agent.user_agent.as_ref()));
    line
}

/// `10/Oct/2000:13:55:36 -0700`, in local time.
fn time(record: &AccessRecord) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(record.time.0)) {
        Ok(stamp) => stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
        Err(_) => "-".into(),
    }
}

fn quoted(line: &mut String, value: Option<&HeaderValue>) {
    line.push_str(" \"");
    match value {
        Some(value) => escape(line, value.as_bytes()),
        None => line.push('-'),
    }
    line.push('"');
}

/// What could end a field early, command a terminal, or is no ASCII becomes `\xhh`.
fn escape(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => write!(line, "\\x{byte:02x}").unwrap_or_default(),
            byte => line.push(char::from(*byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_ends_a_field_early() {
        let mut line = String::new();
        escape(&mut line, b"a\"b\\c\nd\xff~");
        assert_eq!(line, "a\\x22b\\x5cc\\x0ad\\xff~");
        quoted(&mut line, None);
        assert!(line.ends_with(" \"-\""));
    }
}
