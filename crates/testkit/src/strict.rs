//! The strictest reading of a request's head: what a proxy may send on. It shares no code with what is tested.

/// Why no two readers can be sure to understand this head in the same way; `None` when they do.
///
/// `head` is all of it, from the request line to the empty line.
pub fn doubt(head: &str) -> Option<&'static str> {
    let Some(text) = head.strip_suffix("\r\n\r\n") else { return Some("it does not end with an empty line") };
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    if words.len() != 3 || words[2] != "HTTP/1.1" || words[0].is_empty() || !words[0].bytes().all(is_token) {
        return Some("its first line is no request line");
    }
    let is_target = words[1].starts_with('/') || words[..2] == ["OPTIONS", "*"];
    if !is_target || !words[1].bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Some("its target is none");
    }
    let (mut hosts, mut lengths, mut codings) = (0, 0, 0);
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else { return Some("a line is no field") };
        if name.is_empty() || !name.bytes().all(is_token) {
            return Some("a field's name is none");
        }
        if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Some("a field's value has control characters");
        }
        match name.to_ascii_lowercase().as_str() {
            "host" if value.is_empty() || value.contains([',', '@', '/', ' ']) => return Some("its host is none"),
            "host" => hosts += 1,
            "content-length" if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Some("its length is none");
            }
            "content-length" => lengths += 1,
            "transfer-encoding" if value != "chunked" => return Some("its coding is not `chunked`"),
            "transfer-encoding" => codings += 1,
            "te" | "keep-alive" | "proxy-connection" | "upgrade" => return Some("a hop-by-hop field"),
            _ => {}
        }
    }
    match (hosts, lengths + codings) {
        (1, 0 | 1) => None,
        (1, _) => Some("its framing is said twice"),
        _ => Some("it has not one host"),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_is_beyond_doubt() {
        assert_eq!(doubt("GET /a?b HTTP/1.1\r\nhost: shop:80\r\nX-A: \t b\r\n\r\n"), None);
        assert_eq!(doubt("OPTIONS * HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\n"), None);
    }

    #[test]
    fn what_two_readers_could_take_for_two_things_is_in_doubt() {
        for (head, why) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n", "it does not end with an empty line"),
            ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", "its first line is no request line"),
            ("GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", "its target is none"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx:y\r\n\r\n", "a line is no field"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n", "a field's name is none"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: a\nb: c\r\n\r\n", "a field's value has control characters"),
            ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", "its host is none"),
            ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n", "its length is none"),
            ("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", "its coding is not `chunked`"),
            ("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n", "a hop-by-hop field"),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "it has not one host"),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                "its framing is said twice",
            ),
        ] {
            assert_eq!(doubt(head), Some(why), "{head}");
        }
    }
}
