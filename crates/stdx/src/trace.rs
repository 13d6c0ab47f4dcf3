//! W3C Trace Context, level 2: the `traceparent` header and the ids in it.
//!
//! Source: <https://www.w3.org/TR/trace-context-2/>, section 3.2.

use std::fmt;
use std::str::FromStr;

use crate::rng::Rng;

/// 16 bytes, not all zero; printed as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// 8 bytes, not all zero; printed as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// Why a text is no trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Not the length or the dashes of the format.
    #[error("not a traceparent: expected VERSION-TRACE-SPAN-FLAGS")]
    Shape,
    /// Something else than 0-9 and a-f where hex digits stand.
    #[error("not lower-case hex digits")]
    Hex,
    /// All zero ids and version `ff` are forbidden.
    #[error("an all-zero id or the forbidden version ff")]
    Forbidden,
}

macro_rules! hex_id {
    ($name:ident, $len:literal) => {
        impl $name {
            /// A new random id.
            pub fn random(rng: &mut Rng) -> $name {
                loop {
                    let mut bytes = [0u8; $len];
                    rng.fill(&mut bytes);
                    if let Some(id) = $name::from_bytes(bytes) {
                        return id;
                    }
                }
            }

            /// The id with these bytes, `None` when all are zero.
            pub fn from_bytes(bytes: [u8; $len]) -> Option<$name> {
                (bytes != [0; $len]).then_some($name(bytes))
            }

            /// The bytes, most significant first.
            pub fn to_bytes(self) -> [u8; $len] {
                self.0
            }

            /// Writes the hex digits to `out`, which is twice as long as the id.
            pub fn write_hex(self, out: &mut [u8; $len * 2]) {
                for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
            }

            fn parse(digits: &[u8]) -> Result<$name, TraceError> {
                let mut bytes = [0u8; $len];
                if digits.len() != bytes.len() * 2 {
                    return Err(TraceError::Shape);
                }
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    *byte = hex(pair[0])? << 4 | hex(pair[1])?;
                }
                $name::from_bytes(bytes).ok_or(TraceError::Forbidden)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0u8; $len * 2];
                self.write_hex(&mut text);
                f.pad(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = TraceError;
            fn from_str(text: &str) -> Result<$name, TraceError> {
                $name::parse(text.as_bytes())
            }
        }
    };
}

hex_id!(TraceId, 16);
hex_id!(SpanId, 8);

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(digit: u8) -> Result<u8, TraceError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(TraceError::Hex),
    }
}

/// Where in which trace a piece of work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The whole story.
    pub trace: TraceId,
    /// The step that caused this one (`parent-id` on the wire).
    pub span: SpanId,
    /// The trace flags; bit 0 is *sampled*, bit 1 *random*. Unknown bits are passed on as zero.
    pub flags: u8,
}

/// Bits of the flags that this version of the format defines.
const FLAGS_KNOWN: u8 = 0b11;

impl TraceContext {
    /// A new trace with its first span, sampled and random.
    pub fn new_root(rng: &mut Rng) -> TraceContext {
        TraceContext { trace: TraceId::random(rng), span: SpanId::random(rng), flags: 0b11 }
    }

    /// The context of a step caused by this one.
    pub fn child(self, rng: &mut Rng) -> TraceContext {
        TraceContext { span: SpanId::random(rng), ..self }
    }

    /// Reads a `traceparent` value. A version above `00` is read by the rules of `00`, with more fields allowed behind.
    ///
    /// # Errors
    /// When the text is not of the format; it must then be ignored, never repaired.
    pub fn parse(text: &[u8]) -> Result<TraceContext, TraceError> {
        if text.len() < 55 || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
            return Err(TraceError::Shape);
        }
        let version = hex(text[0])? << 4 | hex(text[1])?;
        if version == 0xff {
            return Err(TraceError::Forbidden);
        }
        if text.len() > 55 && (version == 0 || text[55] != b'-') {
            return Err(TraceError::Shape);
        }
        let flags = (hex(text[53])? << 4 | hex(text[54])?) & FLAGS_KNOWN;
        Ok(TraceContext { trace: TraceId::parse(&text[3..35])?, span: SpanId::parse(&text[36..52])?, flags })
    }

    /// Writes the `traceparent` value, version `00`.
    pub fn to_bytes(self) -> [u8; 55] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let mut trace = [0u8; 32];
        let mut span = [0u8; 16];
        self.trace.write_hex(&mut trace);
        self.span.write_hex(&mut span);
        out[3..35].copy_from_slice(&trace);
        out[36..52].copy_from_slice(&span);
        out[53] = HEX[usize::from(self.flags >> 4)];
        out[54] = HEX[usize::from(self.flags & 15)];
        out
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_bytes()).unwrap_or_default())
    }
}

impl FromStr for TraceContext {
    type Err = TraceError;
    fn from_str(text: &str) -> Result<TraceContext, TraceError> {
        TraceContext::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_specifications_example_is_read_and_written_back() {
        let context: TraceContext = GOOD.parse().unwrap();
        assert_eq!(context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span.to_string(), "b7ad6b7169203331");
        assert_eq!(context.flags, 1);
        assert_eq!(context.to_string(), GOOD);
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        assert_eq!(zero_trace.parse::<TraceContext>(), Err(TraceError::Forbidden));
        assert_eq!(zero_span.parse::<TraceContext>(), Err(TraceError::Forbidden));
        assert_eq!(GOOD.replacen("00", "ff", 1).parse::<TraceContext>(), Err(TraceError::Forbidden));
        assert_eq!(GOOD.to_uppercase().parse::<TraceContext>(), Err(TraceError::Hex));
        assert_eq!(format!("{GOOD}-more").parse::<TraceContext>(), Err(TraceError::Shape));
        assert_eq!(GOOD[..54].parse::<TraceContext>(), Err(TraceError::Shape));
    }

    #[test]
    fn a_later_version_may_carry_more_fields() {
        let later = format!("{}-what-the-future-holds", GOOD.replacen("00", "cc", 1));
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), GOOD);
        assert_eq!(format!("{}x", GOOD.replacen("00", "cc", 1)).parse::<TraceContext>(), Err(TraceError::Shape));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(context) = TraceContext::parse(&bytes) {
                prop_assert_eq!(TraceContext::parse(&context.to_bytes()), Ok(context));
            }
        }
    }
}
