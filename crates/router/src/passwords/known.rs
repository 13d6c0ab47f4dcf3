//! Passwords that were right: digests under a key that nobody outside of this process has.

use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

/// Digests that one generation holds.
const GENERATION: usize = 1_024;

/// Of a hash and a password.
pub(super) type Digest = [u8; 32];

/// Makes digests.
pub(super) struct Digester(hmac::Key);

impl Digester {
    pub(super) fn new() -> Digester {
        // Without random numbers no connection with TLS could be made either: the process cannot go on.
        #[expect(clippy::expect_used, reason = "a system without random numbers")]
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has random numbers");
        Digester(key)
    }

    pub(super) fn of(&self, hash: &str, password: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        // A hash has one length: no other pair gives the same bytes.
        context.update(hash.as_bytes());
        context.update(password);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

/// The digests of the last passwords that were right. When a generation is full, the one before it is forgotten.
#[derive(Default)]
pub(super) struct Known {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl Known {
    pub(super) fn has(&mut self, digest: &Digest) -> bool {
        if self.young.contains(digest) {
            return true;
        }
        let had = self.old.contains(digest);
        if had {
            self.add(*digest);
        }
        had
    }

    pub(super) fn add(&mut self, digest: Digest) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest);
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("young", &self.young.len()).field("old", &self.old.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn what_is_asked_for_stays_and_all_of_it_is_bounded() {
        let mut known = Known::default();
        known.add(digest(0));
        for n in 1..10 * GENERATION {
            assert!(known.has(&digest(0)), "{n}");
            known.add(digest(n));
        }
        assert!(known.young.len() + known.old.len() <= 2 * GENERATION);
        assert!(!known.has(&digest(1)));
    }

    #[test]
    fn another_password_or_hash_or_process_has_another_digest() {
        let digester = Digester::new();
        assert_eq!(digester.of("a", b"b"), digester.of("a", b"b"));
        assert_ne!(digester.of("a", b"b"), digester.of("a", b"c"));
        assert_ne!(digester.of("a", b"b"), digester.of("c", b"b"));
        assert_ne!(digester.of("a", b"b"), Digester::new().of("a", b"b"));
    }
}
