//! What a certificate says beside its names. Pure.

use serde::{Deserialize, Serialize};

use super::der::{self, INTEGER, OCTETS, OID, SEQUENCE, context};

/// The time of a certificate, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// `notBefore`.
    pub from_s: u64,
    /// `notAfter`.
    pub until_s: u64,
}

/// What is looked up in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) validity: Validity,
    /// Clients may refuse it without an OCSP response (RFC 7633).
    pub(super) must_staple: bool,
}

/// `id-pe-tlsfeature` (RFC 7633).
const TLS_FEATURE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18];
/// The number of the extension `status_request` (RFC 6066, 8).
const STATUS_REQUEST: &[u8] = &[5];

/// Looks into a certificate (RFC 5280, 4.1) that has been parsed already.
pub(super) fn of(certificate: &[u8]) -> Option<Facts> {
    let mut whole = certificate;
    let mut certificate = der::next(&mut whole, SEQUENCE)?;
    let mut fields = der::next(&mut certificate, SEQUENCE)?;
    der::next_if(&mut fields, context(0));
    der::next(&mut fields, INTEGER)?;
    der::next(&mut fields, SEQUENCE)?;
    der::next(&mut fields, SEQUENCE)?;
    let mut validity = der::next(&mut fields, SEQUENCE)?;
    let validity = Validity { from_s: der::next_time(&mut validity)?, until_s: der::next_time(&mut validity)? };
    let must_staple = std::iter::from_fn(|| {
        let (tag, content, rest) = der::take(fields)?;
        fields = rest;
        Some((tag, content))
    });
    let extensions = must_staple.filter(|(tag, _)| *tag == context(3)).last();
    let must_staple = extensions.is_some_and(|(_, extensions)| asks_for_staple(extensions).unwrap_or(false));
    Some(Facts { validity, must_staple })
}

fn asks_for_staple(mut explicit: &[u8]) -> Option<bool> {
    let mut extensions = der::next(&mut explicit, SEQUENCE)?;
    while !extensions.is_empty() {
        let mut extension = der::next(&mut extensions, SEQUENCE)?;
        if der::next(&mut extension, OID)? != TLS_FEATURE {
            continue;
        }
        let critical_or_not = der::take(extension).filter(|(tag, ..)| *tag != OCTETS).map(|(.., rest)| rest);
        let mut value = der::next(&mut critical_or_not.unwrap_or(extension), OCTETS)?;
        let mut features = der::next(&mut value, SEQUENCE)?;
        while !features.is_empty() {
            if der::next(&mut features, INTEGER)? == STATUS_REQUEST {
                return Some(true);
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};
    use rcgen::{CertificateParams, CustomExtension, KeyPair, date_time_ymd};

    fn facts(extensions: Vec<CustomExtension>) -> Facts {
        let mut params = CertificateParams::new(vec!["a.example".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2060, 3, 1));
        params.custom_extensions = extensions;
        of(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    #[test]
    fn its_time_and_whether_it_must_be_stapled() {
        let validity = Validity { from_s: 1_767_225_600, until_s: 2_845_324_800 };
        assert_eq!(facts(vec![]), Facts { validity, must_staple: false });
        let feature =
            |content: &[u8]| CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], content.to_vec());
        assert_eq!(facts(vec![feature(&[0x30, 3, 2, 1, 5])]), Facts { validity, must_staple: true });
        assert!(!facts(vec![feature(&[0x30, 3, 2, 1, 17])]).must_staple);
        let mut critical = feature(&[0x30, 6, 2, 1, 17, 2, 1, 5]);
        critical.set_criticality(true);
        assert!(facts(vec![critical]).must_staple);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            of(&bytes);
            asks_for_staple(&bytes);
        }
    }
}
