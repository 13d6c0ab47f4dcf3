//! Who a tube belongs to and what it is called.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use stdx::ids::Scope;

/// Whose tubes they are: those of one application in one environment, or the shared ones of clients without a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub Option<Scope>);

impl Namespace {
    /// The namespace of clients that never sent a token.
    pub const SHARED: Namespace = Namespace(None);
}

impl From<Scope> for Namespace {
    fn from(scope: Scope) -> Namespace {
        Namespace(Some(scope))
    }
}

impl fmt::Display for Namespace {
    /// `shop/production`, or `shared`, which no application in an environment can be called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(scope) => scope.fmt(f),
            None => f.write_str("shared"),
        }
    }
}

/// A tube's name: 1 to 200 of `A-Za-z0-9-+/;.$_()`, not beginning with a hyphen (protocol, "Names").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TubeName(Arc<str>);

impl TubeName {
    /// The longest name in bytes.
    pub const BYTES_MAX: usize = 200;
    /// The tube that every connection uses and watches at first.
    pub const DEFAULT: &str = "default";

    /// Keeps a name that [`TubeName::check`] lets pass.
    pub fn new(name: &[u8]) -> Option<TubeName> {
        TubeName::check(name).map(|name| TubeName(name.into()))
    }

    /// The name as text if it is one.
    pub fn check(name: &[u8]) -> Option<&str> {
        let fits = (1..=TubeName::BYTES_MAX).contains(&name.len());
        if fits && name[0] != b'-' && name.iter().all(|&byte| is_name_byte(byte)) {
            std::str::from_utf8(name).ok()
        } else {
            None
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a byte may stand in a tube's name.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-+/;.$_()".contains(&byte)
}

impl Borrow<str> for TubeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TubeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TubeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A job's number: 1, 2, 3 ... over all tubes, never given twice, not even after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tube_name_is_what_the_protocol_says() {
        for good in ["default", "a", "A-b+c/d;e.f$g_h(i)", &"x".repeat(200)] {
            assert_eq!(TubeName::new(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a b", "a\0", "ü", "a:b", &"x".repeat(201)] {
            assert_eq!(TubeName::new(bad.as_bytes()), None, "{bad:?} was taken");
        }
    }
}
