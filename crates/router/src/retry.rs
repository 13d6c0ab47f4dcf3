//! Whether a request that failed at one endpoint may be tried again. Pure.

use http::Method;

use crate::access::Outcome;

/// What makes a request repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeatable {
    /// By RFC 9110 section 9.2.2.
    pub(crate) idempotent: bool,
    /// Content is streamed and gone once a byte of it has left.
    pub(crate) has_content: bool,
}

impl Repeatable {
    pub(crate) fn of(method: &Method, has_content: bool) -> Repeatable {
        let idempotent = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
        Repeatable { idempotent, has_content }
    }

    /// Whether sending it a second time is harmless even if the first one arrived.
    pub(crate) fn harmless(self) -> bool {
        self.idempotent && !self.has_content
    }
}

/// Whether to try again after `outcome`, `counted` counted tries having been made. Nothing of a reply may have gone out
/// yet; the caller sees to that.
///
/// A connection that was never made has sent nothing: such a try is free, for every method. All others count.
pub(crate) fn again(outcome: Outcome, request: Repeatable, counted: u32, retries_max: u8) -> bool {
    match outcome {
        Outcome::Refused | Outcome::ConnectTimeout => true,
        Outcome::Died | Outcome::TimedOut | Outcome::Malformed => {
            request.harmless() && counted <= u32::from(retries_max)
        }
        Outcome::Answered(_) | Outcome::Abandoned | Outcome::Cancelled => false,
    }
}

/// Whether a try counts against the route's `retries_max`.
pub(crate) fn counts(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Refused | Outcome::ConnectTimeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method) -> Repeatable {
        Repeatable::of(method, false)
    }

    #[test]
    fn what_was_never_sent_is_always_tried_again() {
        for method in [Method::GET, Method::POST, Method::PATCH] {
            assert!(again(Outcome::Refused, Repeatable::of(&method, true), 9, 0), "{method}");
        }
    }

    #[test]
    fn what_may_have_arrived_is_repeated_only_where_that_is_harmless() {
        for outcome in [Outcome::Died, Outcome::TimedOut, Outcome::Malformed] {
            assert!(again(outcome, of(&Method::GET), 1, 1));
            assert!(again(outcome, of(&Method::DELETE), 1, 1));
            assert!(!again(outcome, of(&Method::POST), 1, 1));
            assert!(!again(outcome, Repeatable::of(&Method::PUT, true), 1, 1));
        }
        assert!(!again(Outcome::Answered(500), of(&Method::GET), 1, 1));
    }

    #[test]
    fn retries_are_counted() {
        assert!(!again(Outcome::Died, of(&Method::GET), 1, 0));
        assert!(again(Outcome::Died, of(&Method::GET), 2, 2));
        assert!(!again(Outcome::Died, of(&Method::GET), 3, 2));
    }

    #[test]
    fn methods_are_case_sensitive() {
        let lower = Method::from_bytes(b"get").unwrap();
        assert!(!of(&lower).idempotent);
    }
}
