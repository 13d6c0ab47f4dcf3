//! What an include may ask for. Pure.
//!
//! A fragment's request never leaves by its address: it goes through the routes, to upstreams of the configuration. Beyond that
//! a page asks its own host, or one that a route names, on the port that the host has for clients.

use crate::reserved;

/// Where a fragment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// As `Host` has it.
    pub(super) authority: Box<str>,
    /// Path and query.
    pub(super) target: Box<str>,
    /// Its host is the page's.
    pub(super) same_host: bool,
}

impl Address {
    pub(super) fn of_page(authority: &str, target: &str) -> Address {
        Address { authority: authority.into(), target: target.into(), same_host: true }
    }

    pub(super) fn path(&self) -> &str {
        split_query(&self.target).0
    }

    /// What `src` means in a document that is here, in a page of `page`; `None` where it may not be asked for. `named`: whether a
    /// route names the host.
    pub(super) fn resolve(&self, src: &str, page: &Address, named: impl Fn(&str) -> bool) -> Option<Address> {
        let src = src.split('#').next().unwrap_or_default();
        if !src.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return None;
        }
        let absolute = after_scheme(src)?;
        let (authority, same_host, rest) = match absolute {
            None => (self.authority.clone(), self.same_host, src),
            Some((port, rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, same_host) = allowed(&rest[..end], port, page, named)?;
                (authority, same_host, &rest[end..])
            }
        };
        let (path, query) = split_query(rest);
        let path = match path {
            "" if absolute.is_some() => String::from("/"),
            "" if query.is_empty() => return None,
            "" => self.path().to_string(),
            path if path.starts_with('/') => without_dots(path),
            path => {
                let folder = self.path().rfind('/').map_or("/", |at| &self.path()[..=at]);
                without_dots(&format!("{folder}{path}"))
            }
        };
        if reserved::is(&path) {
            return None;
        }
        Some(Address { authority, target: format!("{path}{query}").into(), same_host })
    }
}

/// What stands behind `http://`, `https://` or `//`, and the port that it means; `None` for any other scheme.
#[expect(clippy::option_option, reason = "no scheme at all is something else than one that may not be")]
fn after_scheme(src: &str) -> Option<Option<(Option<u16>, &str)>> {
    if let Some(rest) = src.strip_prefix("//") {
        return Some(Some((None, rest)));
    }
    let scheme = src.find([':', '/', '?']).filter(|at| src[*at..].starts_with(':'));
    let Some(at) = scheme else { return Some(None) };
    let rest = src[at + 1..].strip_prefix("//")?;
    match src[..at].to_ascii_lowercase().as_str() {
        "http" => Some(Some((Some(80), rest))),
        "https" => Some(Some((Some(443), rest))),
        _ => None,
    }
}

/// The authority that is asked for, and whether its host is the page's.
fn allowed(
    authority: &str,
    standard: Option<u16>,
    page: &Address,
    named: impl Fn(&str) -> bool,
) -> Option<(Box<str>, bool)> {
    if authority.contains(['@', '[', '%']) {
        return None;
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let host = host.to_ascii_lowercase();
    let (page_host, page_port) =
        page.authority.rsplit_once(':').map_or((&*page.authority, None), |(host, port)| (host, Some(port)));
    let is_standard = |port: &str| match standard {
        Some(standard) => port == standard.to_string(),
        None => port == "80" || port == "443",
    };
    if port.is_some_and(|port| Some(port) != page_port && !is_standard(port)) || host.is_empty() {
        return None;
    }
    if page_host.eq_ignore_ascii_case(&host) {
        return Some((page.authority.clone(), true));
    }
    named(&host).then(|| (host.into(), false))
}

fn split_query(target: &str) -> (&str, &str) {
    target.find('?').map_or((target, ""), |at| target.split_at(at))
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(segment) = all.next() {
        let is_last = all.peek().is_none();
        match segment {
            "." if is_last => segments.push(""),
            "." => {}
            ".." => {
                segments.pop();
                if is_last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn resolved(src: &str) -> Option<String> {
        let page = Address::of_page("Shop.example:8080", "/a/b?x=1");
        let found = page.resolve(src, &page, |host| host == "ads.example")?;
        Some(format!("{}{}{}", if found.same_host { "" } else { "other " }, found.authority, found.target))
    }

    #[test]
    fn an_address_is_the_pages_host_or_one_that_a_route_names() {
        for (src, meant) in [
            ("/x?y=2#z", "Shop.example:8080/x?y=2"),
            ("x", "Shop.example:8080/a/x"),
            ("../x/./y/..", "Shop.example:8080/x/"),
            ("../../../x", "Shop.example:8080/x"),
            ("?y=2", "Shop.example:8080/a/b?y=2"),
            ("/x?to=http://e.example/", "Shop.example:8080/x?to=http://e.example/"),
            ("http://shop.example/x", "Shop.example:8080/x"),
            ("http://shop.example:8080/x", "Shop.example:8080/x"),
            ("//ads.example/x", "other ads.example/x"),
            ("HTTPS://ADS.example:443?q", "other ads.example/?q"),
            ("http://ads.example", "other ads.example/"),
            // What a client could ask for as well, and no more.
            ("/x/%2e%2e/%2e%2e/y", "Shop.example:8080/x/%2e%2e/%2e%2e/y"),
            ("/http://evil.example/", "Shop.example:8080/http://evil.example/"),
            ("/@evil.example/", "Shop.example:8080/@evil.example/"),
            (".//evil.example/x", "Shop.example:8080/a//evil.example/x"),
        ] {
            assert_eq!(resolved(src).as_deref(), Some(meant), "{src}");
        }
    }

    #[test]
    fn no_other_host_port_or_scheme_is_asked() {
        for src in [
            "",
            "http://169.254.169.254/latest",
            "http://localhost:9200/",
            "http://ads.example:22/",
            "http://ads.example:443/",
            "http://shop.example@evil.example/",
            "http://ads.example%2eevil/",
            "http://[::1]/",
            "http:///x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:/x",
            "/\\evil.example/",
            "/a b",
            "/\u{e4}",
            "/.forebay/health",
            "/a/../.forebay/health",
            "//evil.example/x",
            "//shop.example:8080@evil.example/",
            "http://shop.example:8080:80/",
            "http://shop.example:22/",
            "http://shop.example.evil/",
            "http://ads.example.:80/",
            "http://%73hop.example/",
            "http://127.0.0.1:8080/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://ads.example\\@evil.example/",
            "https:evil.example",
            "///evil.example/",
            "//",
            "gopher://ads.example/",
            "/a/%2e/../../.forebay/health",
            "/x\r\nhost: evil.example",
        ] {
            assert_eq!(resolved(src), None, "{src}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_it_is_one_of_two_hosts(src in "[a-z:/?#@%.\\[\\]0-9]{0,24}") {
            let page = Address::of_page("shop.example", "/a/b");
            if let Some(found) = page.resolve(&src, &page, |host| host == "a.b") {
                prop_assert!(matches!(&*found.authority, "shop.example" | "a.b"));
                prop_assert!(found.target.starts_with('/') && !found.target.contains('#'));
            }
        }
    }
}
