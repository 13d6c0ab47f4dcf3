//! Who paused a tube, and why, as attributes. Records of before they were written have none.

use wal::attr::{self, Encoder};

use super::Malformed;

const BY: u8 = 1;
const WHY: u8 = 2;

/// Writes what is said behind what `out` holds.
pub(crate) fn encode_note(out: &mut Vec<u8>, by: &str, why: &str) {
    let mut encoder = Encoder::new(out);
    for (tag, text) in [(BY, by), (WHY, why)] {
        if !text.is_empty() {
            encoder.str(tag, text);
        }
    }
}

/// Reads it.
pub(crate) fn decode_note(bytes: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut by, mut why) = ("", "");
    for attr in attr::decode(bytes) {
        let attr = attr?;
        match attr.tag {
            BY => by = attr.str()?,
            WHY => why = attr.str()?,
            _ => {}
        }
    }
    Ok((by, why))
}
