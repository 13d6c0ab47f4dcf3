//! The cookie that remembers a client's writes. Pure.
//!
//! `1.UNTIL.POSITIONS.MAC`: the end of its time in milliseconds since 1970, the positions with `+` between them (none: only
//! the time counts), and an HMAC-SHA-256 of all that and of the primary that was written to, cut to 128 bits.

use std::fmt::Write;

use aws_lc_rs::hmac;
use health::Position;
use stdx::clock::Wall;

/// Databases that one cookie remembers.
const POSITIONS_MAX: usize = 4;
const MAC_BYTES: usize = 16;

/// What a client has written, as far as it matters to its reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) until_ms: u64,
    /// Empty: reads go to the primary until then.
    pub(crate) positions: Vec<Position>,
}

impl Written {
    /// Adds a write: the later position of each database counts, and the newest databases when there are too many.
    pub(super) fn add(&mut self, position: Position) {
        let known = self.positions.iter().position(|one| one.db == position.db);
        let newest = match known.map(|index| self.positions.remove(index)) {
            Some(known) if known.is_past(&position) => known,
            _ => position,
        };
        self.positions.insert(0, newest);
        self.positions.truncate(POSITIONS_MAX);
    }

    /// Whether it still matters.
    pub(super) fn holds(&self, now: Wall) -> bool {
        self.until_ms > millis(now)
    }

    /// Whether an endpoint that has come to `positions` has all of it.
    pub(crate) fn is_in(&self, positions: &[Position]) -> bool {
        let seen = |wanted: &Position| positions.iter().any(|one| one.is_past(wanted));
        !self.positions.is_empty() && self.positions.iter().all(seen)
    }
}

pub(super) fn millis(now: Wall) -> u64 {
    now.0 / 1_000_000
}

/// Writes the cookie's value.
pub(super) fn sign(key: &hmac::Key, primary: &str, written: &Written) -> String {
    let mut text = format!("1.{}.", written.until_ms);
    for (n, position) in written.positions.iter().enumerate() {
        let plus = if n > 0 { "+" } else { "" };
        // Dots end a part, and a database's name may have some.
        let position = position.to_string().replace('.', "~");
        text.push_str(plus);
        text.push_str(&position);
    }
    let mac = mac(key, primary, &text);
    text.push('.');
    for byte in mac {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// Reads a cookie's value; `None` when nobody with the key wrote it.
pub(super) fn read(key: &hmac::Key, primary: &str, value: &str) -> Option<Written> {
    let (text, given) = value.rsplit_once('.')?;
    let right: String = mac(key, primary, text).iter().map(|byte| format!("{byte:02x}")).collect();
    aws_lc_rs::constant_time::verify_slices_are_equal(right.as_bytes(), given.as_bytes()).ok()?;
    let (until, positions) = text.strip_prefix("1.")?.split_once('.')?;
    let positions = positions.split('+').filter(|one| !one.is_empty());
    let positions = positions.map(|one| one.replace('~', ".").parse().ok()).collect::<Option<Vec<Position>>>()?;
    Some(Written { until_ms: until.parse().ok()?, positions })
}

fn mac(key: &hmac::Key, primary: &str, text: &str) -> [u8; MAC_BYTES] {
    let mut context = hmac::Context::with_key(key);
    context.update(&(primary.len() as u64).to_le_bytes());
    context.update(primary.as_bytes());
    context.update(text.as_bytes());
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&context.sign().as_ref()[..MAC_BYTES]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn the_later_write_to_a_database_counts_and_an_endpoint_needs_all() {
        let mut written = Written::default();
        for text in ["shop@5", "stock@0/9", "shop@7", "shop@6"] {
            written.add(position(text));
        }
        assert_eq!(written.positions, [position("shop@7"), position("stock@0/9")]);
        assert!(written.is_in(&[position("stock@0/9"), position("shop@8")]));
        assert!(!written.is_in(&[position("shop@8")]));
        assert!(!written.is_in(&[position("stock@0/9"), position("shop@6")]));
        assert!(!Written::default().is_in(&[position("shop@6")]), "without a position no copy will do");
    }

    #[test]
    fn a_cookie_of_another_key_or_primary_is_nobodys() {
        let written = Written { until_ms: 9, positions: vec![position("shop.db@7")] };
        let value = sign(&key(), "db", &written);
        assert_eq!(read(&key(), "db", &value), Some(written));
        assert_eq!(read(&key(), "other", &value), None);
        assert_eq!(read(&hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), "db", &value), None);
        assert_eq!(read(&key(), "db", &value.replace("1.9.", "1.8.")), None);
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read_and_is_a_cookie_value(
            until_ms in any::<u64>(),
            ats in prop::collection::vec(("[a-z][a-z0-9._-]{0,9}", any::<u64>(), any::<u64>()), 0..4),
        ) {
            let positions = ats.into_iter().map(|(db, upper, lower)| Position { db: db.as_str().into(), at: health::At(upper, lower) });
            let written = Written { until_ms, positions: positions.collect() };
            let value = sign(&key(), "p", &written);
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)), "{value}");
            prop_assert_eq!(read(&key(), "p", &value), Some(written));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
            prop_assert_eq!(read(&key(), "p", &text), None);
        }
    }
}
