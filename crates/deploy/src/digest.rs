//! The digest of a source: the same files give the same 64 hex digits, whatever folder, owner or time they have.
//!
//! SHA-256 over the entries in the order of their paths' bytes, each as: a kind byte (`f` file, `x` executable file, `l`
//! link), the path's length (4 bytes, big-endian), the path, and the SHA-256 of the content (of a link: of its
//! target). Folders count only through what is in them.

use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// What one entry of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file.
    File,
    /// A file that its owner may execute.
    Executable,
    /// A symbolic link.
    Link,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::File => b'f',
            Kind::Executable => b'x',
            Kind::Link => b'l',
        }
    }
}

/// SHA-256 of a content.
pub type ContentHash = [u8; 32];

/// Hashes a content piece by piece.
pub struct ContentHasher(Context);

impl ContentHasher {
    /// Nothing hashed yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> ContentHasher {
        ContentHasher(Context::new(&SHA256))
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> ContentHash {
        fixed(self.0.finish().as_ref())
    }
}

/// The hash of a whole content.
pub fn hash(bytes: &[u8]) -> ContentHash {
    fixed(digest(&SHA256, bytes).as_ref())
}

/// Collects entries in any order.
#[derive(Debug, Default)]
pub struct SourceDigest(Vec<(Vec<u8>, Kind, ContentHash)>);

impl SourceDigest {
    /// Adds an entry. `path`: relative to the source's folder, parts divided by `/`.
    pub fn add(&mut self, path: &[u8], kind: Kind, content: ContentHash) {
        self.0.push((path.to_vec(), kind, content));
    }

    /// The digest, 64 hex digits.
    pub fn finish(mut self) -> String {
        self.0.sort_unstable();
        let mut all = Context::new(&SHA256);
        for (path, kind, content) in &self.0 {
            all.update(&[kind.byte()]);
            all.update(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_be_bytes());
            all.update(path);
            all.update(content);
        }
        all.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes every write");
            text
        })
    }
}

fn fixed(bytes: &[u8]) -> ContentHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, Kind, &str)]) -> String {
        let mut digest = SourceDigest::default();
        for (path, kind, content) in entries {
            digest.add(path.as_bytes(), *kind, hash(content.as_bytes()));
        }
        digest.finish()
    }

    #[test]
    fn the_format_is_pinned() {
        let expected = "4ce521c56d2bd7843457ef691148dc21c56acd8bdf94ee97b7002b9405a69f0c";
        let given = of(&[("a", Kind::File, "hello"), ("b", Kind::Link, "a")]);
        assert_eq!(given, expected);
        assert_eq!(given, of(&[("b", Kind::Link, "a"), ("a", Kind::File, "hello")]), "the order does not matter");
    }

    #[test]
    fn every_part_of_an_entry_counts() {
        let base = of(&[("a", Kind::File, "hello")]);
        for other in [
            of(&[("b", Kind::File, "hello")]),
            of(&[("a", Kind::Executable, "hello")]),
            of(&[("a", Kind::File, "hello!")]),
            of(&[("a", Kind::File, "hello"), ("b", Kind::File, "")]),
        ] {
            assert_ne!(base, other);
        }
    }
}
