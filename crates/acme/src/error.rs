//! Why there is no certificate.

use std::io;
use std::path::PathBuf;

use net::tls::TlsError;

/// Characters of what an authority says that are passed on.
const DETAIL_CHARS_MAX: usize = 400;

/// Why an order came to nothing, or none can begin.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority cannot be reached, or answers as none would.
    #[error("the authority cannot be asked: {0}")]
    Unreachable(String),
    /// The authority refuses.
    #[error("the authority refuses: {detail}")]
    Refused {
        /// The last part of the problem's type (RFC 8555, 6.7): `rateLimited`.
        kind: String,
        /// In its words.
        detail: String,
    },
    /// The authority has looked at the host and is not convinced.
    #[error("the authority did not find the host to be ours: {0}")]
    NotOurs(String),
    /// The authority took too long.
    #[error("the order did not come to its end in time")]
    TimedOut,
    /// None of the challenges that it offers can be answered.
    #[error("the authority offers no challenge that may be answered: it offers {0}")]
    NoChallenge(String),
    /// What the authority gave cannot be used.
    #[error("what the authority gave cannot be used: {0}")]
    Unusable(#[from] TlsError),
    /// What the authority gave is for somebody else.
    #[error("the authority gave a certificate for {0}")]
    OtherHost(String),
    /// A key cannot be made or read.
    #[error("a key cannot be used: {0}")]
    Key(String),
    /// What is kept on disk cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl AcmeError {
    pub(crate) fn key(error: rcgen::Error) -> AcmeError {
        AcmeError::Key(error.to_string())
    }

    /// Whether a limit of the authority is reached, which holds for all of the account's orders.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, AcmeError::Refused { kind, .. } if kind == "rateLimited")
    }

    /// Whether the authority does not know the account (any more).
    pub(crate) fn is_account_unknown(&self) -> bool {
        matches!(self, AcmeError::Refused { kind, .. } if kind == "accountDoesNotExist")
    }
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> AcmeError {
        match error {
            instant_acme::Error::Api(problem) => {
                AcmeError::Refused { kind: kind(&problem).to_string(), detail: detail(&problem) }
            }
            instant_acme::Error::Timeout(_) => AcmeError::TimedOut,
            instant_acme::Error::Crypto | instant_acme::Error::KeyRejected => AcmeError::Key(error.to_string()),
            other => AcmeError::Unreachable(bounded(&other.to_string())),
        }
    }
}

fn kind(problem: &instant_acme::Problem) -> &str {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

/// A problem in the authority's words, one line and not without end.
pub(crate) fn detail(problem: &instant_acme::Problem) -> String {
    let words = problem.detail.as_deref().or(problem.r#type.as_deref()).unwrap_or("no reason given");
    bounded(&format!("{words} ({})", kind(problem)))
}

fn bounded(text: &str) -> String {
    let printable = text.chars().map(|one| if one.is_control() { ' ' } else { one });
    printable.take(DETAIL_CHARS_MAX).collect()
}
