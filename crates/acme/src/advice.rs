//! When the authority advises to renew (ARI, RFC 9773): it asks for an early renewal when it has to revoke, and spreads those
//! of all its customers. Without its advice two thirds of a certificate's time count.

use std::borrow::Cow;
use std::time::Duration;

use instant_acme::{CertificateIdentifier, Error};
use net::tls::Certificate;
use stdx::base64;

use crate::error::AcmeError;
use crate::order::Orders;

/// How long an advice holds, whatever the authority says.
const HOLDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(3_600)..=Duration::from_secs(86_400);

/// An authority's advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// When to renew, from and until, in milliseconds since 1970; `None`: it gives none.
    pub(crate) window_ms: Option<(u64, u64)>,
    /// When to ask again.
    pub(crate) holds: Duration,
}

impl Advice {
    /// When there is nobody to ask.
    const NONE: Advice = Advice { window_ms: None, holds: *HOLDS.end() };
    /// When they do not answer.
    pub(crate) const UNHEARD: Advice = Advice { window_ms: None, holds: *HOLDS.start() };
}

impl Orders {
    /// Asks when to renew `certificate`.
    ///
    /// # Errors
    /// When the authority does not answer as it should.
    pub(crate) async fn advice(&self, certificate: &Certificate) -> Result<Advice, AcmeError> {
        let Some((key, serial)) = certificate.issued_as() else { return Ok(Advice::NONE) };
        let id = CertificateIdentifier {
            authority_key_identifier: Cow::Owned(base64url(key)),
            serial: Cow::Owned(base64url(serial)),
        };
        let (info, holds) = match self.accounts.account().await?.renewal_info(&id).await {
            Ok(told) => told,
            Err(Error::Unsupported(_)) => return Ok(Advice::NONE),
            Err(error) => return Err(error.into()),
        };
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
        let window = info.suggested_window;
        let (from, until) = (ms(window.start.unix_timestamp()), ms(window.end.unix_timestamp()));
        let window_ms = (from <= until).then_some((from, until));
        Ok(Advice { window_ms, holds: holds.clamp(*HOLDS.start(), *HOLDS.end()) })
    }
}

fn base64url(bytes: &[u8]) -> String {
    base64::encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::base64url;

    #[test]
    fn a_certificate_is_named_as_in_the_standard() {
        // RFC 9773, 4.1.
        let key = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01,
            0xc8, 0xd4,
        ];
        assert_eq!(base64url(&key), "aYhba4dGQEHhs3uEe6CuLN4ByNQ");
        assert_eq!(base64url(&[0x00, 0x87, 0x65, 0x43, 0x21]), "AIdlQyE");
    }
}
