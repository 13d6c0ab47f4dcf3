//! How far a copy of a database has come: what a write returns as `Forebay-Wrote: DB@POSITION`, and what a copy reports
//! with its health as `Forebay-Position: DB@POSITION[, DB@POSITION]`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The reply field in which a health check's answer reports positions.
pub const FIELD: &str = "forebay-position";

/// Databases that one endpoint can report; more are not kept.
pub const POSITIONS_MAX: usize = 8;

/// Bytes of a database's name.
const DB_BYTES_MAX: usize = 64;

/// A point in the log of one database. Positions of the same database compare; those of others do not.
///
/// Written as a decimal number (a GTID's transaction, a version), as PostgreSQL writes an LSN (`0/16B3748`), or as MySQL
/// names a place in its binary log (`binlog.000003:154`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The database.
    pub db: Arc<str>,
    /// Where in its log.
    pub at: At,
}

/// A place in a log: file or upper half first, so that later is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub u64, pub u64);

/// Why a text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: write DB@NUMBER, DB@X/Y or DB@FILE.NUMBER:OFFSET")]
pub struct Malformed;

impl Position {
    /// Whether a copy that is at `self` has seen what was written at `other`.
    pub fn is_past(&self, other: &Position) -> bool {
        self.db == other.db && self.at >= other.at
    }
}

impl FromStr for At {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<At, Malformed> {
        // `from_str_radix` takes a sign, a position has none.
        let number = |digits: &str, radix| match digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => u64::from_str_radix(digits, radix).map_err(|_| Malformed),
            false => Err(Malformed),
        };
        if let Some((upper, lower)) = text.split_once('/') {
            return Ok(At(number(upper, 16)?, number(lower, 16)?));
        }
        if let Some((file, offset)) = text.rsplit_once(':') {
            let (_, file) = file.rsplit_once('.').ok_or(Malformed)?;
            return Ok(At(number(file, 10)?, number(offset, 10)?));
        }
        Ok(At(0, number(text, 10)?))
    }
}

impl FromStr for Position {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Position, Malformed> {
        let (db, at) = text.trim().split_once('@').ok_or(Malformed)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if db.is_empty() || db.len() > DB_BYTES_MAX || !db.bytes().all(plain) {
            return Err(Malformed);
        }
        Ok(Position { db: db.into(), at: at.parse()? })
    }
}

impl fmt::Display for Position {
    /// The canonical form, `DB@UPPER/LOWER` in hexadecimal; it reads back as the same position.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:X}/{:X}", self.db, self.at.0, self.at.1)
    }
}

/// Reads one `Forebay-Position` value into `into`; what is malformed in it is skipped, what is too much too.
pub fn read_list(value: &str, into: &mut Vec<Position>) {
    for position in value.split(',').filter_map(|one| one.parse::<Position>().ok()) {
        if into.len() < POSITIONS_MAX {
            into.push(position);
        }
    }
}

/// Takes what a copy reports now over what was known of it. A copy may go back (it was restored), so the last word
/// counts; a database that it no longer names is forgotten.
pub fn newest(known: &mut Arc<[Position]>, reported: Vec<Position>) -> bool {
    let changed = **known != *reported;
    if changed {
        *known = reported.into();
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn the_ways_of_writing_a_position() {
        assert_eq!(position("shop@42").at, At(0, 42));
        assert_eq!(position("shop@0/16B3748").at, At(0, 0x16B_3748));
        assert_eq!(position(" shop@mysql-bin.000003:154 ").at, At(3, 154));
        for bad in
            ["", "shop", "@1", "shop@", "shop@-1", "shop@+1", "shop@1/", "shop@:5", "sh op@1", "shop@0x5", "a/b@1"]
        {
            assert_eq!(bad.parse::<Position>(), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn later_is_past_earlier_in_the_same_database_only() {
        assert!(position("shop@1/0").is_past(&position("shop@0/FFFFFFFF")));
        assert!(position("shop@7").is_past(&position("shop@7")));
        assert!(position("shop@binlog.000010:4").is_past(&position("shop@binlog.000009:900")));
        assert!(!position("shop@6").is_past(&position("shop@7")));
        assert!(!position("stock@8").is_past(&position("shop@7")));
    }

    #[test]
    fn a_list_is_read_up_to_its_bound_and_what_is_malformed_in_it_is_skipped() {
        let mut read = Vec::new();
        read_list("shop@1, nonsense, stock@0/2", &mut read);
        assert_eq!(read, [position("shop@1"), position("stock@2")]);
        read_list(&vec!["a@1"; 50].join(","), &mut read);
        assert_eq!(read.len(), POSITIONS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(upper in any::<u64>(), lower in any::<u64>(), db in "[a-z0-9._-]{1,20}") {
            let one = Position { db: db.into(), at: At(upper, lower) };
            prop_assert_eq!(position(&one.to_string()), one);
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in any::<String>()) {
            let mut read = Vec::new();
            read_list(&text, &mut read);
        }
    }
}
