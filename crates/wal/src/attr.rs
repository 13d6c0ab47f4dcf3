//! Typed, length-prefixed, skippable attributes: the optional part of a record's payload.
//!
//! A list of attributes is `tag u8, length varint, bytes` repeated to the end of the list. A reader skips the tags that it
//! does not know, so an older one reads the records of a newer one; a tag never changes its meaning, and one that must
//! be understood belongs into the record's kind. Tags are fixed by the plane that writes them. Numbers are
//! little-endian without leading zero bytes, so that small ones are short and all widths are read alike.

/// Appends attributes to a buffer.
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Writes behind what `out` holds.
    pub fn new(out: &'a mut Vec<u8>) -> Encoder<'a> {
        Encoder { out }
    }

    /// Adds bytes; up to 4 GiB - 1, which no record reaches.
    pub fn bytes(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.out.push(tag);
        put_varint(self.out, value.len() as u32);
        self.out.extend_from_slice(value);
        self
    }

    /// Adds text.
    pub fn str(&mut self, tag: u8, value: &str) -> &mut Self {
        self.bytes(tag, value.as_bytes())
    }

    /// Adds a number in as many bytes as it needs; 0 needs none.
    pub fn u64(&mut self, tag: u8, value: u64) -> &mut Self {
        let used = 8 - value.leading_zeros() as usize / 8;
        self.bytes(tag, &value.to_le_bytes()[..used])
    }

    /// Adds a mark that is either there or not.
    pub fn flag(&mut self, tag: u8) -> &mut Self {
        self.bytes(tag, &[])
    }
}

/// One attribute as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// What it is, by the table of the plane that wrote it.
    pub tag: u8,
    /// Its bytes.
    pub value: &'a [u8],
}

impl<'a> Attr<'a> {
    /// The value as a number.
    ///
    /// # Errors
    /// When it has more than eight bytes.
    pub fn u64(&self) -> Result<u64, Malformed> {
        if self.value.len() > 8 {
            return Err(Malformed);
        }
        let mut raw = [0; 8];
        raw[..self.value.len()].copy_from_slice(self.value);
        Ok(u64::from_le_bytes(raw))
    }

    /// The value as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn str(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.value).map_err(|_| Malformed)
    }

    /// The value as exactly `N` bytes.
    ///
    /// # Errors
    /// When it has another length.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.try_into().map_err(|_| Malformed)
    }
}

/// The bytes are no list of attributes, or a value is not of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed attribute")]
pub struct Malformed;

/// Reads the attributes in `bytes`, which must be all attributes. Ends after the first that is malformed.
pub fn decode(bytes: &[u8]) -> Decoder<'_> {
    Decoder { rest: bytes }
}

/// The attributes of a list, in the order they were written.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = &[];
        let Some((len, rest)) = take_varint(rest) else { return Some(Err(Malformed)) };
        let Some((value, rest)) = rest.split_at_checked(len as usize) else { return Some(Err(Malformed)) };
        self.rest = rest;
        Some(Ok(Attr { tag, value }))
    }
}

/// Appends a LEB128 number: seven bits a byte, the lowest first, the top bit says that more follow.
pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number that [`put_varint`] wrote, and returns it with the bytes after it. `None` when the bytes end too early
/// or the number is too big.
pub fn take_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_types_come_back() {
        let mut out = b"before".to_vec();
        Encoder::new(&mut out).u64(1, 0).u64(2, 300).u64(3, u64::MAX).str(4, "tube").flag(5).bytes(6, &[7; 200]);
        let attrs: Vec<Attr<'_>> = decode(&out[6..]).collect::<Result<_, _>>().unwrap();
        assert_eq!(attrs.iter().map(|attr| attr.tag).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(attrs[..3].iter().map(|attr| attr.u64().unwrap()).collect::<Vec<_>>(), [0, 300, u64::MAX]);
        assert_eq!(attrs[1].value.len(), 2, "small numbers are short");
        assert_eq!(attrs[3].str(), Ok("tube"));
        assert_eq!(attrs[4].value, []);
        assert_eq!(attrs[5].array::<200>(), Ok([7; 200]));
        assert_eq!(attrs[5].u64(), Err(Malformed));
    }

    #[test]
    fn a_list_cut_anywhere_is_malformed_or_ends_between_two() {
        let mut out = Vec::new();
        Encoder::new(&mut out).u64(1, 70_000).str(2, "abc");
        let ends: Vec<usize> = (0..out.len()).filter(|cut| decode(&out[..*cut]).all(|attr| attr.is_ok())).collect();
        assert_eq!(ends, [0, 5]);
    }

    #[test]
    fn lengths_that_no_list_has_are_malformed() {
        for bytes in [&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F][..], &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0][..], &[1][..]] {
            assert_eq!(decode(bytes).collect::<Vec<_>>(), [Err(Malformed)]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).count() <= bytes.len());
        }

        #[test]
        fn what_is_encoded_is_decoded(list in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..10)) {
            let mut out = Vec::new();
            for (tag, value) in &list {
                Encoder::new(&mut out).bytes(*tag, value);
            }
            let back: Vec<(u8, Vec<u8>)> = decode(&out).map(|attr| attr.map(|a| (a.tag, a.value.to_vec())).unwrap()).collect();
            prop_assert_eq!(back, list);
        }
    }
}
