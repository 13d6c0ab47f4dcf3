//! What an authority gets that looks at a challenge over HTTP (RFC 8555, 8.3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Where authorities look.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// The longest token that is looked up: authorities send 43 bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// Challenges of orders under way: what is answered to each token. Tokens are random numbers of the authority's, and no
/// secrets: it comes by any of the host's addresses, and says neither who it is nor in which words it names the host.
#[derive(Default)]
pub struct Answers(ArcSwap<HashMap<String, Arc<str>>>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("tokens", &self.0.load().len()).finish()
    }
}

impl Answers {
    /// Answers `token` with this key authorization, until [`Answers::forget`]; whether that is possible: a token is base64url
    /// (RFC 8555, 8.1).
    pub(crate) fn answer(&self, token: &str, authorization: &str) -> bool {
        let sound = is_token(token);
        if sound {
            self.0.rcu(|all| {
                let mut all = HashMap::clone(all);
                all.insert(token.to_string(), Arc::from(authorization));
                all
            });
        }
        sound
    }

    /// The challenge is over.
    pub(crate) fn forget(&self, token: &str) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(token);
            all
        });
    }

    /// What a request for `path` gets, if it is an authority's. All others are the application's.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(PREFIX)?;
        self.0.load().get(token).cloned()
    }
}

fn is_token(text: &str) -> bool {
    let of_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(of_base64url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_authority_s_requests_are_answered() {
        let answers = Answers::default();
        let path = "/.well-known/acme-challenge/tok-1_";
        assert_eq!(answers.find(path), None);
        assert!(answers.answer("tok-1_", "tok-1_.thumb"));
        assert_eq!(answers.find(path).as_deref(), Some("tok-1_.thumb"));
        for path in [
            "/.well-known/acme-challenge/tok-2",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/../tok-1_",
            "/.well-known/acme-challenge/tok-1_/",
            "/tok-1_",
        ] {
            assert_eq!(answers.find(path), None, "{path}");
        }
        answers.forget("tok-1_");
        assert_eq!(answers.find(path), None);
    }

    #[test]
    fn a_token_is_base64url() {
        let answers = Answers::default();
        for token in ["", "a/b", "a.b", "a b", "\u{e4}", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert!(!answers.answer(token, "x"), "{token}");
        }
    }
}
