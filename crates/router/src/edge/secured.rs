//! What endpoints are told of a client that came by TLS.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use net::tls::ClientIdentity;

const SUBJECT: HeaderName = HeaderName::from_static("forebay-client-subject");
const SHA256: HeaderName = HeaderName::from_static("forebay-client-sha256");

/// A connection with TLS.
#[derive(Debug, Default)]
pub(crate) struct Secured {
    /// Subject and hash of the client's certificate, which was verified.
    client: Option<(HeaderValue, HeaderValue)>,
}

impl Secured {
    pub(crate) fn new(identity: Option<ClientIdentity>) -> Secured {
        let value = |text: String| HeaderValue::try_from(text).ok();
        let client = identity.and_then(|client| Some((value(client.subject)?, value(client.sha256)?)));
        Secured { client }
    }

    /// Writes whose certificate it is; whatever a request says about that itself is not heard, whoever sends it.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        match &self.client {
            Some((subject, sha256)) => {
                headers.insert(SUBJECT, subject.clone());
                headers.insert(SHA256, sha256.clone());
            }
            None => {
                headers.remove(SUBJECT);
                headers.remove(SHA256);
            }
        }
    }
}
