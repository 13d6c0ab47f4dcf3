//! Substring search that does not care for case.

use std::borrow::Cow;

/// A text to look for. ASCII is compared without allocation; for anything else both sides are brought to lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needle {
    lower: Box<str>,
    /// The first byte in both cases, when all of it is ASCII.
    first: Option<(u8, u8)>,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Needle {
        let lower = text.to_lowercase();
        let first = match lower.as_bytes().first() {
            Some(&first) if lower.is_ascii() => Some((first, first.to_ascii_uppercase())),
            _ => None,
        };
        Needle { lower: lower.into(), first }
    }

    /// Says whether the text is in `hay`. The empty text is in all.
    pub(crate) fn is_in(&self, hay: &str) -> bool {
        match self.first {
            Some((lower, upper)) => self.ascii_is_in(lower, upper, hay.as_bytes()),
            None => self.lower.is_empty() || lower_case(hay).contains(&*self.lower),
        }
    }

    /// Says whether `text` is this text.
    pub(crate) fn is(&self, text: &str) -> bool {
        if self.first.is_some() { text.eq_ignore_ascii_case(&self.lower) } else { *lower_case(text) == *self.lower }
    }

    fn ascii_is_in(&self, lower: u8, upper: u8, hay: &[u8]) -> bool {
        let needle = self.lower.as_bytes();
        let Some(last_start) = hay.len().checked_sub(needle.len()) else { return false };
        memchr::memchr2_iter(lower, upper, &hay[..=last_start])
            .any(|at| hay[at..at + needle.len()].eq_ignore_ascii_case(needle))
    }
}

fn lower_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_does_not_matter() {
        for (needle, hay) in
            [("ERR", "an error"), ("é", "CAFÉ"), ("", ""), ("k", "K"), ("x-y", "aX-Yb"), ("straße", "STRAßE")]
        {
            assert!(Needle::new(needle).is_in(hay), "{needle} in {hay}");
        }
        for (needle, hay) in [("err", "er"), ("é", "cafe"), ("x", "")] {
            assert!(!Needle::new(needle).is_in(hay), "{needle} in {hay}");
        }
        assert!(Needle::new("Web.1").is("web.1") && !Needle::new("web.1").is("web.12"));
    }

    proptest! {
        #[test]
        fn it_finds_what_the_standard_library_finds(hay in "[aAbBé]{0,12}", needle in "[aAbBé]{0,3}") {
            let expected = hay.to_lowercase().contains(&needle.to_lowercase());
            prop_assert_eq!(Needle::new(&needle).is_in(&hay), expected);
        }
    }
}
