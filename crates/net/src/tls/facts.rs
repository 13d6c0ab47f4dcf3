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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) validity: Validity,
    /// Clients may refuse it without an OCSP response (RFC 7633).
    pub(super) must_staple: bool,
    /// The content of its serial number.
    pub(super) serial: Vec<u8>,
    /// The key of its authority as that names it (RFC 5280, 4.2.1.1).
    pub(super) authority_key: Option<Vec<u8>>,
}

/// `id-ce-authorityKeyIdentifier` (RFC 5280).
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

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
    let serial = der::next(&mut fields, INTEGER)?.to_vec();
    der::next(&mut fields, SEQUENCE)?;
    der::next(&mut fields, SEQUENCE)?;
    let mut validity = der::next(&mut fields, SEQUENCE)?;
    let validity = Validity { from_s: der::next_time(&mut validity)?, until_s: der::next_time(&mut validity)? };
    let others = std::iter::from_fn(|| {
        let (tag, content, rest) = der::take(fields)?;
        fields = rest;
        Some((tag, content))
    });
    let extensions = others.filter(|(tag, _)| *tag == context(3)).last().map_or(&[][..], |(_, content)| content);
    let must_staple = extension(extensions, TLS_FEATURE).and_then(asks_for_staple).unwrap_or(false);
    let authority_key = extension(extensions, AUTHORITY_KEY).and_then(|mut value| {
        let mut parts = der::next(&mut value, SEQUENCE)?;
        der::next_if(&mut parts, KEY_IDENTIFIER).map(<[u8]>::to_vec)
    });
    Some(Facts { validity, must_staple, serial, authority_key })
}

/// The tag of `keyIdentifier`, an implicit `[0]`.
const KEY_IDENTIFIER: u8 = 0x80;

/// The value of the extension with this OID, from the content of `[3]`.
fn extension<'a>(mut explicit: &'a [u8], oid: &[u8]) -> Option<&'a [u8]> {
    let mut extensions = der::next(&mut explicit, SEQUENCE)?;
    while !extensions.is_empty() {
        let mut extension = der::next(&mut extensions, SEQUENCE)?;
        if der::next(&mut extension, OID)? == oid {
            // Whether it is critical may stand before.
            let critical = der::take(extension).filter(|(tag, ..)| *tag != OCTETS).map(|(.., rest)| rest);
            return der::next(&mut critical.unwrap_or(extension), OCTETS);
        }
    }
    None
}

fn asks_for_staple(mut value: &[u8]) -> Option<bool> {
    let mut features = der::next(&mut value, SEQUENCE)?;
    while !features.is_empty() {
        if der::next(&mut features, INTEGER)? == STATUS_REQUEST {
            return Some(true);
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
        let plain = facts(vec![]);
        assert_eq!((plain.validity, plain.must_staple, plain.authority_key), (validity, false, None));
        let feature =
            |content: &[u8]| CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], content.to_vec());
        assert!(facts(vec![feature(&[0x30, 3, 2, 1, 5])]).must_staple);
        assert!(!facts(vec![feature(&[0x30, 3, 2, 1, 17])]).must_staple);
        let mut critical = feature(&[0x30, 6, 2, 1, 17, 2, 1, 5]);
        critical.set_criticality(true);
        assert!(facts(vec![critical]).must_staple);
    }

    #[test]
    fn what_an_authority_calls_it() {
        let mut params = CertificateParams::new(vec!["a.example".into()]).unwrap();
        params.serial_number = Some(vec![0x87, 0x65, 0x43].into());
        // 4.1 of RFC 9773 has these very bytes.
        let key = [0x69, 0x88, 0x5b, 0x6b];
        let value = [&[0x30, 6, 0x80, 4][..], &key].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 35], value)];
        let facts = of(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap();
        assert_eq!((facts.serial, facts.authority_key), (vec![0, 0x87, 0x65, 0x43], Some(key.to_vec())));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            of(&bytes);
            asks_for_staple(&bytes);
            extension(&bytes, TLS_FEATURE);
        }
    }
}
