//! The users of one route.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::config::BasicAuthConfig;

/// What a stranger's password is compared with, so that the time it takes does not tell who is a user. Of nothing.
const NOBODY: &str = "$2y$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC";

/// `basic_auth` of a route.
pub(crate) struct Users {
    hashes: HashMap<Box<[u8]>, Arc<str>>,
    nobody: Arc<str>,
    /// `WWW-Authenticate`.
    pub(crate) challenge: HeaderValue,
}

impl Users {
    /// What cannot be read is nobody; the configuration refuses it before.
    pub(crate) fn of(config: &BasicAuthConfig) -> Users {
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.realm));
        let users = config.users.iter().filter_map(|user| user.parts().ok());
        let hashes: HashMap<Box<[u8]>, Arc<str>> =
            users.map(|(name, hash)| (name.as_bytes().into(), hash.into())).collect();
        // As dear as that of a user.
        let cost = hashes.values().next().and_then(|hash| hash.get(4..6)).unwrap_or("10");
        let nobody = NOBODY.replacen("10", cost, 1).into();
        let basic = HeaderValue::from_static("Basic realm=\"restricted\", charset=\"UTF-8\"");
        Users { hashes, nobody, challenge: challenge.unwrap_or(basic) }
    }

    /// The hash to compare with, and whether it is a user's.
    pub(super) fn hash(&self, name: &[u8]) -> (&Arc<str>, bool) {
        match self.hashes.get(name) {
            Some(hash) => (hash, true),
            None => (&self.nobody, false),
        }
    }

    /// A name as a field's value.
    pub(super) fn value(&self, name: &[u8]) -> Option<HeaderValue> {
        HeaderValue::from_bytes(name).ok()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::User;

    #[test]
    fn a_stranger_costs_what_a_user_costs() {
        let hash = "$2y$04$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC";
        let users = vec![User::line(&format!("ann:{hash}"))];
        let users = Users::of(&BasicAuthConfig { users, ..BasicAuthConfig::default() });
        assert_eq!(users.hash(b"ann"), (&Arc::from(hash), true));
        let (nobody, is_user) = users.hash(b"bob");
        assert!(!is_user && nobody.starts_with("$2y$04$"));
        assert!(bcrypt::verify("x", nobody).is_ok_and(|equal| !equal), "it can be compared with");
        assert!(!format!("{users:?}").contains("$2y"));
    }
}
