//! AES-256-GCM around what must not be read from a stolen disk. The row that a value belongs to is authenticated with
//! it, so that a ciphertext moved to another row does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// A value that must not be printed; overwritten with zeros when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(Vec<u8>);

impl Sensitive {
    /// Takes the value over.
    pub fn new(value: Vec<u8>) -> Sensitive {
        Sensitive(value)
    }

    /// The value. Whoever copies it has to see to the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sensitive(..)")
    }
}

impl Drop for Sensitive {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out writes that nobody reads.
        std::hint::black_box(&self.0);
    }
}

/// A value as it is stored.
pub(crate) struct Sealed {
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

/// The key, ready for use.
pub(crate) struct Seal(LessSafeKey);

/// The crypto provider refused: a wrong key, a changed value, or no random bytes.
#[derive(Debug)]
pub(crate) struct Refused;

impl Seal {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Seal, Refused> {
        Ok(Seal(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| Refused)?)))
    }

    /// Encrypts `value` for the row that `place` names. Nonces are random: 2^32 values per key are safe, and every
    /// value is written by a person or once per application.
    pub(crate) fn close(&self, place: &str, value: &[u8]) -> Result<Sealed, Refused> {
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Refused)?;
        let mut bytes = value.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)
            .map_err(|_| Refused)?;
        Ok(Sealed { nonce: nonce.to_vec(), ciphertext: bytes })
    }

    /// Decrypts what [`Seal::close`] made for the same row.
    pub(crate) fn open(&self, place: &str, sealed: &Sealed) -> Result<Sensitive, Refused> {
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| Refused)?;
        let mut bytes = sealed.ciphertext.clone();
        let len = self.0.open_in_place(nonce, Aad::from(place), &mut bytes).map_err(|_| Refused)?.len();
        bytes.truncate(len);
        Ok(Sensitive(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_only_in_its_own_row_and_with_its_own_key() {
        let seal = Seal::new(&[7; KEY_BYTES]).unwrap();
        let sealed = seal.close("shop/production/KEY/1", b"hunter2").unwrap();
        assert!(!sealed.ciphertext.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(seal.open("shop/production/KEY/1", &sealed).unwrap().expose(), b"hunter2");
        assert!(seal.open("shop/production/KEY/2", &sealed).is_err());
        assert!(Seal::new(&[8; KEY_BYTES]).unwrap().open("shop/production/KEY/1", &sealed).is_err());
    }

    #[test]
    fn a_sensitive_value_does_not_print_itself() {
        assert_eq!(format!("{:?}", Sensitive::new(b"hunter2".to_vec())), "Sensitive(..)");
    }
}
