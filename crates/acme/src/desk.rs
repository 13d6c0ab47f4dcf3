//! What listeners and operators see of it: answers to challenges, and how each host stands.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use net::tls::{TlsChallenges, TlsError, Validity};
use serde::Serialize;

use crate::answers::Answers;

/// Shared by the listeners and the task that asks.
#[derive(Debug)]
pub struct Desk {
    /// What requests are answered.
    pub answers: Answers,
    /// What handshakes are answered.
    pub challenges: TlsChallenges,
    /// Orders that came to a certificate, since the start.
    pub obtained: AtomicU64,
    /// Orders that failed, since the start.
    pub failed: AtomicU64,
    rows: Mutex<Arc<[HostRow]>>,
}

/// How a host stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// The host.
    pub host: String,
    /// The time of the certificate that it has.
    pub validity: Option<Validity>,
    /// An order is under way.
    pub is_ordering: bool,
    /// When the next order begins, in milliseconds since 1970; `None`: the host is not wanted any more.
    pub next_ms: Option<u64>,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

impl HostRow {
    /// Whether orders fail and the certificate that there is has less than a sixth of its time left, or there is none.
    #[must_use]
    pub fn is_in_trouble(&self, now_s: u64) -> bool {
        let left = |validity: Validity| {
            let sixth = validity.until_s.saturating_sub(validity.from_s) / 6;
            validity.until_s.saturating_sub(now_s) < sixth
        };
        self.failures > 0 && self.validity.is_none_or(left)
    }
}

impl Desk {
    /// With nothing on it.
    ///
    /// # Errors
    /// When rustls refuses the settings.
    pub fn new() -> Result<Desk, TlsError> {
        let rows = Mutex::new(Arc::from([]));
        Ok(Desk {
            answers: Answers::default(),
            challenges: TlsChallenges::new()?,
            obtained: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rows,
        })
    }

    /// How each host stands, by name.
    #[must_use]
    pub fn rows(&self) -> Arc<[HostRow]> {
        Arc::clone(&self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn show(&self, rows: Vec<HostRow>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows.into();
    }

    /// Answers a request for `token` until the answer is dropped; `None` when the token is none.
    pub(crate) fn answer_http(self: &Arc<Desk>, token: &str, authorization: &str) -> Option<Answer> {
        let answered = self.answers.answer(token, authorization);
        answered.then(|| Answer { desk: Arc::clone(self), to: To::Token(token.into()) })
    }

    /// Answers a handshake for `host` with this certificate and its key, until the answer is dropped.
    pub(crate) fn answer_tls(self: &Arc<Desk>, host: &str, chain: &str, key: &str) -> Result<Answer, TlsError> {
        self.challenges.answer(host, chain, key)?;
        Ok(Answer { desk: Arc::clone(self), to: To::Host(host.into()) })
    }
}

/// A challenge that is answered as long as this lives.
#[derive(Debug)]
pub(crate) struct Answer {
    desk: Arc<Desk>,
    to: To,
}

#[derive(Debug)]
enum To {
    Token(String),
    Host(String),
}

impl Drop for Answer {
    fn drop(&mut self) {
        match &self.to {
            To::Token(token) => self.desk.answers.forget(token),
            To::Host(host) => self.desk.challenges.forget(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_as_long_as_it_is_needed() {
        let desk = Arc::new(Desk::new().unwrap());
        let path = "/.well-known/acme-challenge/abc";
        let answer = desk.answer_http("abc", "abc.key").unwrap();
        assert_eq!(desk.answers.find(path).as_deref(), Some("abc.key"));
        drop(answer);
        assert_eq!(desk.answers.find(path), None);
        assert!(desk.answer_http("a/c", "x").is_none());
        let (chain, key) = crate::keys::challenge_certificate("a.example", &[7; 32]).unwrap();
        let answer = desk.answer_tls("a.example", &chain, &key).unwrap();
        assert!(desk.challenges.are_awaited());
        drop(answer);
        assert!(!desk.challenges.are_awaited());
    }

    #[test]
    fn a_failure_is_trouble_when_little_time_is_left() {
        let row = |failures, validity| HostRow {
            host: "a.example".into(),
            validity,
            is_ordering: false,
            next_ms: Some(0),
            failures,
            last_error: None,
        };
        let validity = Some(Validity { from_s: 0, until_s: 600 });
        assert!(!row(1, validity).is_in_trouble(500) && row(1, validity).is_in_trouble(501));
        assert!(row(1, validity).is_in_trouble(700) && !row(0, validity).is_in_trouble(700));
        assert!(row(1, None).is_in_trouble(0));
    }
}
