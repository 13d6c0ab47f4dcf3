//! `Cache-Control`, of requests and responses (RFC 9111 section 5.2).

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use crate::age;
use crate::fields::members;

/// The directives of one message. A directive that occurs twice has its first value (RFC 9111 section 4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache` without field names
    pub no_cache: bool,
    /// `private` without field names
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age` in seconds; 0 where the value is none, because a response with unreadable freshness is stale.
    pub max_age: Option<u32>,
    /// `s-maxage` in seconds, read like `max-age`.
    pub s_maxage: Option<u32>,
    /// `max-stale` in seconds; without a value any staleness will do.
    pub max_stale: Option<u32>,
    /// `min-fresh` in seconds
    pub min_fresh: Option<u32>,
    /// `stale-while-revalidate` in seconds (RFC 5861)
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861)
    pub stale_if_error: Option<u32>,
    /// The fields of `no-cache="a, b"` and `private="a, b"`: they are not stored.
    pub fields: Vec<HeaderName>,
}

impl Directives {
    /// Those of a response.
    #[must_use]
    pub fn of_response(headers: &HeaderMap) -> Directives {
        let mut directives = Directives::default();
        directives.read(headers);
        directives
    }

    /// Those of a request; `Pragma: no-cache` counts where there is no `Cache-Control` (RFC 9111 section 5.4).
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Directives {
        let mut directives = Directives::default();
        if headers.contains_key(CACHE_CONTROL) {
            directives.read(headers);
        } else {
            let mut pragma = headers.get_all(PRAGMA).iter().flat_map(|line| members(line.as_bytes()));
            directives.no_cache = pragma.any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn read(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(CACHE_CONTROL) {
            for member in members(line.as_bytes()) {
                if let Some((name, value)) = split(member) {
                    self.set(name, value.as_deref());
                }
            }
        }
    }

    /// Takes in one directive; unknown ones are no error.
    pub(crate) fn set(&mut self, name: &[u8], value: Option<&[u8]>) {
        let name = name.to_ascii_lowercase();
        let seconds = value.and_then(age::seconds);
        match name.as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !self.take_fields(value),
            b"private" => self.private |= !self.take_fields(value),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => first(&mut self.max_age, Some(seconds.unwrap_or(0))),
            b"s-maxage" => first(&mut self.s_maxage, Some(seconds.unwrap_or(0))),
            b"max-stale" => first(&mut self.max_stale, if value.is_none() { Some(age::DELTA_MAX) } else { seconds }),
            b"min-fresh" => first(&mut self.min_fresh, seconds),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, seconds),
            b"stale-if-error" => first(&mut self.stale_if_error, seconds),
            _ => {}
        }
    }

    /// Whether the value is a list of field names; a name that cannot be read makes the directive one without names.
    fn take_fields(&mut self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else { return false };
        let names: Result<Vec<HeaderName>, _> =
            members(value).filter(|name| !name.is_empty()).map(HeaderName::from_bytes).collect();
        match names {
            Ok(names) if !names.is_empty() => {
                self.fields.extend(names);
                true
            }
            _ => false,
        }
    }
}

fn first(slot: &mut Option<u32>, value: Option<u32>) {
    if slot.is_none() {
        *slot = value;
    }
}

type NameValue<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// `name` or `name=value` or `name="value"`, without white space around `=`; `None` for anything else.
fn split(member: &[u8]) -> Option<NameValue<'_>> {
    let end = member.iter().position(|byte| !is_token(*byte)).unwrap_or(member.len());
    let (name, rest) = member.split_at(end);
    if name.is_empty() {
        return None;
    }
    match rest {
        [] => Some((name, None)),
        [b'=', b'"', quoted @ ..] => Some((name, Some(Cow::Owned(unquote(quoted))))),
        [b'=', plain @ ..] => Some((name, Some(Cow::Borrowed(plain)))),
        _ => None,
    }
}

/// The text of a quoted string whose first quote is gone; a missing last quote is forgiven.
fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => text.extend(bytes.next()),
            _ => text.push(byte),
        }
    }
    text
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
