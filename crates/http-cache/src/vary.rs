//! Which of the responses stored for one URL a request selects (RFC 9111 section 4.1).

use std::borrow::Cow;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName};

use crate::fields::members;
use crate::packed::{Unpacking, pack_bytes};

/// The fields that `Vary` names, with what the request had in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection(Vec<(HeaderName, Option<Box<[u8]>>)>);

impl Selection {
    /// `None` when no request can select the response: `Vary: *`, or a name that is none.
    pub(crate) fn new(response: &HeaderMap, request: &HeaderMap, by_quality: bool) -> Option<Selection> {
        let mut selection = Vec::new();
        for name in response.get_all(VARY).iter().flat_map(|line| members(line.as_bytes())) {
            if name.is_empty() {
                continue;
            }
            if name == b"*" {
                return None;
            }
            let name = HeaderName::from_bytes(name).ok()?;
            if selection.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let value = normal(request, &name, by_quality).map(|value| value.into_owned().into());
            selection.push((name, value));
        }
        selection.sort_unstable_by(|one: &(HeaderName, _), other| one.0.as_str().cmp(other.0.as_str()));
        Some(Selection(selection))
    }

    /// Whether the request selects the response that has these `headers`.
    pub(crate) fn matches(&self, headers: &HeaderMap, request: &HeaderMap, by_quality: bool) -> bool {
        self.0.iter().all(|(name, stored)| {
            let asked = normal(request, name, by_quality);
            asked.as_deref() == stored.as_deref()
                || by_quality && name == ACCEPT_LANGUAGE && likes_best(asked.as_deref(), headers)
        })
    }

    /// Whether the response varies by nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        out.extend((self.0.len() as u32).to_le_bytes());
        for (name, value) in &self.0 {
            pack_bytes(out, name.as_str().as_bytes());
            out.push(u8::from(value.is_some()));
            if let Some(value) = value {
                pack_bytes(out, value);
            }
        }
    }

    pub(crate) fn unpack(from: &mut Unpacking<'_>) -> Option<Selection> {
        let mut selection = Vec::new();
        for _ in 0..from.u32()? {
            let name = HeaderName::from_bytes(from.bytes()?).ok()?;
            let value = if from.flag()? { Some(from.bytes()?.into()) } else { None };
            selection.push((name, value));
        }
        Some(Selection(selection))
    }

    /// What it weighs in memory, names not counted: those are shared or static.
    pub(crate) fn bytes(&self) -> usize {
        let each = size_of::<(HeaderName, Option<Box<[u8]>>)>();
        self.0.iter().map(|(_, value)| each + value.as_ref().map_or(0, |value| value.len())).sum()
    }
}

/// The value with its lines joined and the white space around commas gone, which never changes what a list means.
fn normal<'a>(request: &'a HeaderMap, name: &HeaderName, by_quality: bool) -> Option<Cow<'a, [u8]>> {
    let mut lines = request.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let second = lines.next();
    let folds = name == ACCEPT_LANGUAGE || name == ACCEPT_ENCODING;
    if second.is_none() && !folds && !first.iter().any(|byte| matches!(byte, b',' | b' ' | b'\t')) {
        return Some(Cow::Borrowed(first));
    }
    let values = std::iter::once(first).chain(second.map(http::HeaderValue::as_bytes));
    let values = values.chain(lines.map(http::HeaderValue::as_bytes));
    let mut parts: Vec<&[u8]> = values.flat_map(members).collect();
    if name == ACCEPT_LANGUAGE && by_quality {
        parts.retain(|part| quality(part) > 0);
        parts.sort_by_key(|part| (std::cmp::Reverse(quality(part)), part.to_ascii_lowercase()));
    }
    let joined = parts.join(&b","[..]);
    Some(Cow::Owned(if folds { joined.to_ascii_lowercase() } else { joined }))
}

/// Whether the one language that a request likes best is the one that the stored response is in.
fn likes_best(asked: Option<&[u8]>, headers: &HeaderMap) -> bool {
    let mut ranked = asked.into_iter().flat_map(members);
    let Some(best) = ranked.next() else { return false };
    let alone = ranked.next().is_none_or(|next| quality(next) < quality(best));
    let tag = best.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let language = headers.get(CONTENT_LANGUAGE).map(http::HeaderValue::as_bytes);
    alone && language.is_some_and(|language| language.trim_ascii().eq_ignore_ascii_case(tag))
}

/// `;q=` in thousandths; 1000 where there is none.
fn quality(part: &[u8]) -> u32 {
    let parameter = part
        .split(|byte| *byte == b';')
        .skip(1)
        .map(<[u8]>::trim_ascii)
        .find_map(|parameter| parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q=")));
    let Some(value) = parameter else { return 1000 };
    let mut digits = value.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let whole = digits.next().unwrap_or(0).min(1) * 1000;
    let fraction = digits.take(3).zip([100, 10, 1]).map(|(digit, weight)| digit * weight).sum::<u32>();
    (whole + fraction).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, http::HeaderValue::from_static(line));
        }
        headers
    }

    fn selects(name: &'static str, stored: &[&'static str], asked: &[&'static str], by_quality: bool) -> bool {
        let response = map("vary", &[name]);
        let selection = Selection::new(&response, &map(name, stored), by_quality).unwrap();
        selection.matches(&response, &map(name, asked), by_quality)
    }

    #[test]
    fn white_space_and_lines_do_not_count() {
        assert!(selects("foo", &["1, 2"], &["1", "2"], false));
        assert!(selects("foo", &["1,2"], &[" 1, 2 "], false));
        assert!(!selects("foo", &["1"], &["2"], false));
        assert!(!selects("foo", &["1"], &[], false));
        assert!(!selects("foo", &[], &["1"], false));
        assert!(!selects("foo", &["a"], &["A"], false));
    }

    #[test]
    fn languages() {
        assert!(selects("accept-language", &["en, de"], &["eN,De"], false));
        assert!(!selects("accept-language", &["en, de"], &["de, en"], false));
        assert!(selects("accept-language", &["en, de"], &["de, en"], true));
        assert!(!selects("accept-language", &["en, de;q=0.5"], &["de, en;q=0.5"], true));
    }

    #[test]
    fn the_best_language_selects_what_is_in_it() {
        let mut response = map("vary", &["accept-language"]);
        response.insert(CONTENT_LANGUAGE, "de".parse().unwrap());
        let selection = Selection::new(&response, &map("accept-language", &["en, de"]), true).unwrap();
        let matches = |value| selection.matches(&response, &map("accept-language", &[value]), true);
        assert!(matches("fr;q=0.5, de;q=1.0"));
        assert!(!matches("fr, de"), "two are liked best");
        assert!(!matches("fr, de;q=0.9"));
    }

    #[test]
    fn a_star_selects_nothing() {
        for lines in [&["*"][..], &["*, *"], &["", "*"], &["foo, *"], &["*, foo"], &["a b"]] {
            assert_eq!(Selection::new(&map("vary", lines), &HeaderMap::new(), false), None, "{lines:?}");
        }
    }
}
