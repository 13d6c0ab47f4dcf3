//! What a write makes worthless (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderValue, Method};

use crate::key::same_authority;
use crate::policy::{Policy, Request, Response};

/// Paths, with queries, of the request's own origin: all that is stored for them is to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// At most three: the request's target, its `Location` and its `Content-Location`.
    pub targets: Vec<String>,
}

impl Policy {
    /// What a successful answer to an unsafe request invalidates; nothing for other requests and answers. Other origins are
    /// never touched, so that nobody can empty a cache for somebody else.
    #[must_use]
    pub fn invalidates(&self, request: &Request<'_>, response: &Response<'_>) -> Invalidated {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(request.method);
        let succeeded = response.status.is_success() || response.status.is_redirection();
        if is_safe || !succeeded {
            return Invalidated::default();
        }
        let mut targets = vec![request.target.to_string()];
        for name in [LOCATION, CONTENT_LOCATION] {
            let reference = response.headers.get(name).map(HeaderValue::as_bytes);
            if let Some(target) = reference.and_then(|reference| resolve(request, reference))
                && !targets.contains(&target)
            {
                targets.push(target);
            }
        }
        Invalidated { targets }
    }
}

/// The path and query that a reference in a response leads to, `None` when it leads to another origin (RFC 3986
/// section 5.2).
pub(crate) fn resolve(request: &Request<'_>, reference: &[u8]) -> Option<String> {
    let reference = std::str::from_utf8(reference).ok()?.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme_end = reference.find(':').filter(|at| !reference[..*at].contains(['/', '?']));
    let rest = match scheme_end {
        Some(at) if !reference[..at].eq_ignore_ascii_case(request.scheme) => return None,
        Some(at) => reference[at + 1..].strip_prefix("//")?,
        None => match reference.strip_prefix("//") {
            Some(rest) => rest,
            None => return Some(relative(request.target, reference)),
        },
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if !same_authority(request.scheme, authority, request.authority) {
        return None;
    }
    Some(if target.starts_with('/') { without_dots(target) } else { format!("/{target}") })
}

fn relative(base: &str, reference: &str) -> String {
    let path = base.split('?').next().unwrap_or_default();
    match reference.chars().next() {
        None => base.to_string(),
        Some('/') => without_dots(reference),
        Some('?') => format!("{path}{reference}"),
        Some(_) => {
            let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
            without_dots(&format!("{folder}{reference}"))
        }
    }
}

/// RFC 3986 section 5.2.4, of the path only.
fn without_dots(target: &str) -> String {
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}
