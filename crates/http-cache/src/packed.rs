//! A stored response as bytes, for a cache that keeps some beyond its memory. The form has no mark and no sum of its own:
//! whoever writes it down adds both.

use http::header::CONTENT_LANGUAGE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::freshness::Freshness;
use crate::policy::{Policy, Request};
use crate::stored::{Rules, Stored};
use crate::time::UnixMs;
use crate::vary::Selection;

/// What is known of a stored response that lies elsewhere: enough to tell which requests select it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    selection: Selection,
    headers: HeaderMap,
}

impl Outline {
    /// Whether it is of a response with the same selecting fields.
    #[must_use]
    pub fn is_of(&self, stored: &Stored) -> bool {
        self.selection == stored.selection
    }

    /// What it weighs in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const MAP: usize = 160;
        let fields: usize = self.headers.values().map(|value| MAP + value.len()).sum();
        size_of::<Outline>() + self.selection.bytes() + fields
    }
}

impl Policy {
    /// Whether the request selects the response that this is the outline of.
    #[must_use]
    pub fn selects_outline(&self, request: &Request<'_>, outline: &Outline) -> bool {
        outline.selection.matches(&outline.headers, request.headers, self.options().language_by_quality)
    }
}

impl Stored {
    /// Appends it as bytes.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let Stored { status, headers, selection, freshness, rules, modified, body_bytes } = self;
        out.extend(status.as_u16().to_le_bytes());
        out.extend(body_bytes.to_le_bytes());
        pack_option(out, modified.map(i64::to_le_bytes));
        out.extend(freshness.lifetime_s.to_le_bytes());
        out.push(u8::from(freshness.explicit));
        out.extend(freshness.initial_age_s.to_le_bytes());
        out.extend(freshness.at.0.to_le_bytes());
        out.extend([rules.always_ask, rules.never_stale, rules.stale_if_named].map(u8::from));
        pack_option(out, rules.stale_while_revalidate_s.map(u32::to_le_bytes));
        pack_option(out, rules.stale_if_error_s.map(u32::to_le_bytes));
        out.extend(rules.stale_s.to_le_bytes());
        selection.pack(out);
        out.extend((headers.len() as u32).to_le_bytes());
        for (name, value) in headers {
            pack_bytes(out, name.as_str().as_bytes());
            pack_bytes(out, value.as_bytes());
        }
    }

    /// Appends what tells it from other responses of the same URL.
    pub fn pack_variant(&self, out: &mut Vec<u8>) {
        self.selection.pack(out);
    }

    /// Reads what [`Stored::pack`] wrote, and no other bytes.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Stored> {
        let mut from = Unpacking(bytes);
        let status = StatusCode::from_u16(u16::from_le_bytes(from.array()?)).ok()?;
        let body_bytes = u64::from_le_bytes(from.array()?);
        let modified = from.option()?.map(i64::from_le_bytes);
        let freshness = Freshness {
            lifetime_s: from.u32()?,
            explicit: from.flag()?,
            initial_age_s: from.u32()?,
            at: UnixMs(u64::from_le_bytes(from.array()?)),
        };
        let rules = Rules {
            always_ask: from.flag()?,
            never_stale: from.flag()?,
            stale_if_named: from.flag()?,
            stale_while_revalidate_s: from.option()?.map(u32::from_le_bytes),
            stale_if_error_s: from.option()?.map(u32::from_le_bytes),
            stale_s: from.u32()?,
        };
        let selection = Selection::unpack(&mut from)?;
        let mut headers = HeaderMap::new();
        for _ in 0..from.u32()? {
            let name = HeaderName::from_bytes(from.bytes()?).ok()?;
            // The map has a limit of its own.
            headers.try_append(name, HeaderValue::from_bytes(from.bytes()?).ok()?).ok()?;
        }
        from.0.is_empty().then_some(Stored { status, headers, selection, freshness, rules, modified, body_bytes })
    }

    /// What tells which requests select it.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let language = self.headers.get(CONTENT_LANGUAGE).filter(|_| !self.selection.is_empty());
        let headers = language.map(|language| (CONTENT_LANGUAGE, language.clone())).into_iter().collect();
        Outline { selection: self.selection.clone(), headers }
    }

    /// For how many seconds it may still answer without the origin's yes: fresh, or stale where that is allowed. Not
    /// positive: not at all any more.
    #[must_use]
    pub fn usable_left_s(&self, now: UnixMs) -> i64 {
        if self.rules.always_ask { 0 } else { self.left_s(now) + i64::from(self.rules.stale_s) }
    }

    /// The same response for a clock that may have gone back since `seen`: it is no younger than it was then.
    #[must_use]
    pub fn no_younger_than(mut self, seen: UnixMs, now: UnixMs) -> Stored {
        if now < seen {
            self.freshness = Freshness { initial_age_s: self.age_s(seen), at: now, ..self.freshness };
        }
        self
    }
}

/// Bytes that are taken from the front.
pub(crate) struct Unpacking<'a>(&'a [u8]);

impl<'a> Unpacking<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn option<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        if self.flag()? { self.array().map(Some) } else { Some(None) }
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(count as usize)
    }
}

fn pack_option<const N: usize>(out: &mut Vec<u8>, value: Option<[u8; N]>) {
    out.push(u8::from(value.is_some()));
    out.extend(value.iter().flatten());
}

/// A length, which never comes near its bound here: heads are bounded far below; and the bytes.
pub(crate) fn pack_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::{Options, Response, Storing};

    /// What the policy makes of an answer at 1,000,000 s.
    fn stored(fields: &[(&str, &str)], asked: &[(&str, &str)]) -> Stored {
        let map = |fields: &[(&str, &str)]| -> HeaderMap {
            let pairs = fields.iter().map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            });
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(name, value);
            }
            map
        };
        let (headers, asked) = (map(fields), map(asked));
        let request = Request { method: &Method::GET, scheme: "http", authority: "a", target: "/", headers: &asked };
        let response = Response { status: StatusCode::OK, headers: &headers };
        let at = UnixMs(1_000_000_000);
        match Policy::new(Options::default()).on_response(&request, &response, at, at) {
            Storing::Store(stored) => *stored,
            Storing::Pass(why) => panic!("{why:?}"),
        }
    }

    fn packed(stored: &Stored) -> Vec<u8> {
        let mut bytes = Vec::new();
        stored.pack(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let stored = stored(
            &[
                ("cache-control", "max-age=60, stale-while-revalidate=5"),
                ("vary", "accept-language, x-none"),
                ("content-language", "de"),
                ("x-a", "1"),
                ("x-a", "2"),
                ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ],
            &[("accept-language", "de, en")],
        );
        let bytes = packed(&stored);
        assert_eq!(Stored::unpack(&bytes), Some(stored.clone()));
        for end in 0..bytes.len() {
            assert_eq!(Stored::unpack(&bytes[..end]), None, "{end}");
        }
        assert!(stored.outline().is_of(&stored));
        assert_eq!(stored.usable_left_s(UnixMs(1_000_000_000)), 65);
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_younger() {
        let stored = stored(&[("cache-control", "max-age=60")], &[]);
        let at = |seconds: u64| UnixMs(1_000_000_000 + seconds * 1000);
        let seen = stored.clone().no_younger_than(at(50), UnixMs(5_000));
        assert_eq!((seen.left_s(UnixMs(5_000)), seen.left_s(UnixMs(15_000))), (10, 0));
        assert_eq!(stored.clone().no_younger_than(at(50), at(55)), stored);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(stored) = Stored::unpack(&bytes) {
                prop_assert_eq!(Stored::unpack(&packed(&stored)), Some(stored));
            }
        }

        #[test]
        fn a_changed_byte_is_another_response_or_none(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let stored = stored(&[("cache-control", "max-age=60"), ("vary", "x-a"), ("etag", "\"v\"")], &[("x-a", "b")]);
            let mut bytes = packed(&stored);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // Names of fields are the same in both cases of letters.
            let same = Stored::unpack(&bytes).filter(|changed| *changed == stored);
            prop_assert!(same.is_none_or(|same| packed(&same) == packed(&stored)));
        }
    }
}
