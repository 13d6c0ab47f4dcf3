//! The named formats of texts: what a `format` in the schema means, as one table.

use net::dns::Name;
use net::listen::ListenAddr;
use router::config::{HedgeConfig, RequestKey};
use stdx::ids::{AppName, EnvName, ProcessName};

/// What a text must look like: the rule in words, and whether a text follows it.
pub(crate) struct Format {
    pub(crate) expected: &'static str,
    pub(crate) holds: fn(&str) -> bool,
}

const NAME: &str = "1 to 40 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'";

/// The format of a name in the schema; formats that are no texts' (`uint32`) have none.
pub(crate) fn named(format: &str) -> Option<Format> {
    let (expected, holds): (&'static str, fn(&str) -> bool) = match format {
        "app-name" => (NAME, |t| AppName::new(t).is_ok()),
        "environment-name" => (NAME, |t| EnvName::new(t).is_ok()),
        "process-name" => (NAME, |t| ProcessName::new(t).is_ok()),
        "tube-name" => ("1 to 200 of A-Z, a-z, 0-9 and -+/;.$_(), not beginning with '-'", is_tube_name),
        "variable-name" => ("1 to 128 of A-Z, a-z, 0-9 and '_', not beginning with a digit", is_variable_name),
        "secret-name" => ("1 to 64 of A-Z, 0-9 and '_', not beginning with a digit", is_secret_name),
        "listen-address" => ("HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", |t| t.parse::<ListenAddr>().is_ok()),
        "socket-address" => ("ADDRESS:PORT, such as 127.0.0.1:9000 or [::1]:9000", is_endpoint),
        "host-port" => ("NAME:PORT, such as web.internal:8080", is_host_port),
        "name-port" => ("HOST:PORT, such as db.internal:5432 or 10.0.0.7:5432", is_name_port),
        "http-url" => ("http://HOST[:PORT]/PATH", is_http_url),
        "service-name" => ("a name of SRV records, such as _http._tcp.web.internal", |t| t.parse::<Name>().is_ok()),
        "network" => ("an address or a network, such as 10.0.0.7 or 10.0.0.0/8", is_network),
        "host-name" => ("a host name in lower case, without scheme, port and path, such as shop.example.com", is_host),
        "header-name" | "cookie-name" => ("1 to 64 of A-Z, a-z, 0-9, '-' and '_'", is_field_name),
        "request-key" => ("ip, path, route, header:NAME or cookie:NAME", |t| t.parse::<RequestKey>().is_ok()),
        "url-path" => ("a path beginning with '/', without spaces, '?', '#', '//' and '.' segments", is_path),
        "hedge" => ("\"always\" or a table", |t| t == HedgeConfig::ALWAYS),
        _ => return None,
    };
    Some(Format { expected, holds })
}

/// A tube's name as beanstalkd has it (doc/protocol.txt).
fn is_tube_name(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+/;.$_()".contains(&b))
}

fn is_variable_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_secret_name(text: &str) -> bool {
    text.len() <= 64 && is_variable_name(text) && !text.bytes().any(|b| b.is_ascii_lowercase())
}

/// What names a header field or a cookie; both may have more characters, which nobody uses.
fn is_field_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A literal address with a port that can be connected to.
fn is_endpoint(text: &str) -> bool {
    text.parse::<std::net::SocketAddr>().is_ok_and(|addr| addr.port() != 0)
}

/// A name that has to be looked up, with a port.
fn is_host_port(text: &str) -> bool {
    let Some((name, port)) = text.rsplit_once(':') else { return false };
    name.parse::<Name>().is_ok()
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A name or an address, with a port.
fn is_name_port(text: &str) -> bool {
    is_host_port(text) || is_endpoint(text)
}

fn is_http_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else { return false };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
    is_name_port(&with_port) && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= bits_max))
}

/// A host as it stands in a `Host` field without its port: DNS labels in lower case, or a literal address.
fn is_host(text: &str) -> bool {
    let literal = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(address) = literal {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// An absolute path that means the same to every reader: nothing to decode, resolve or collapse.
fn is_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let clean = |segment: &str| !matches!(segment, "" | "." | "..");
    text.len() <= 1_024
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&b))
        && (text == "/" || rest.split('/').all(clean))
}

#[cfg(test)]
mod tests {
    use super::named;

    /// Format, texts that follow it, texts that do not.
    const TABLE: &[(&str, &[&str], &[&str])] = &[
        ("tube-name", &["orders", "a+b/c;d.$_()-"], &["", "-orders", "two words", "täg"]),
        ("variable-name", &["PATH", "a_1"], &["", "1A", "A-B", "A B", "A=B"]),
        ("secret-name", &["API_KEY", "K2"], &["api_key", "", "2K", "A-B"]),
        ("listen-address", &["127.0.0.1:0", "[::1]:80", "localhost:8080"], &["8080", ":80", "::1:80"]),
        ("socket-address", &["127.0.0.1:9000", "[::1]:9000"], &["localhost:9000", "127.0.0.1", "127.0.0.1:0"]),
        ("network", &["10.0.0.7", "10.0.0.0/8", "::1/128"], &["10.0.0.0/33", "localhost", "10/8"]),
        (
            "host-name",
            &["shop.example.com", "localhost", "127.0.0.1", "[::1]", "xn--bcher-kva.example"],
            &["", "Shop.example.com", "shop:80", "http://shop", "*.example.com", "a..b", "bücher.example", "shop."],
        ),
        (
            "url-path",
            &["/", "/shop", "/shop/", "/a/b-c_d", "/%41"],
            &["", "shop", "/a b", "/a?b", "/a#b", "//", "/a//b", "/a/../b", "/."],
        ),
    ];

    #[test]
    fn a_format_takes_what_it_says() {
        for (name, good, bad) in TABLE {
            let format = named(name).unwrap();
            for text in *good {
                assert!((format.holds)(text), "{name} refused {text:?}");
            }
            for text in *bad {
                assert!(!(format.holds)(text), "{name} took {text:?}");
            }
        }
    }
}
