//! Keys and what is made with them.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use crate::error::AcmeError;

/// A new key (P-256), as PKCS #8 in PEM form.
pub(crate) fn generate() -> Result<String, AcmeError> {
    Ok(KeyPair::generate().map_err(AcmeError::key)?.serialize_pem())
}

/// What asks for a certificate of `host` with this key, in DER form.
pub(crate) fn request(host: &str, key: &str) -> Result<Vec<u8>, AcmeError> {
    let key = KeyPair::from_pem(key).map_err(AcmeError::key)?;
    let mut params = CertificateParams::new(vec![host.to_string()]).map_err(AcmeError::key)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key).map_err(AcmeError::key)?.der().to_vec())
}

/// What an authority is shown that looks at `host` (RFC 8737, 3), and its key: signed by itself, with the digest of the key
/// authorization.
pub(crate) fn challenge_certificate(host: &str, digest: &[u8; 32]) -> Result<(String, String), AcmeError> {
    let key = KeyPair::generate().map_err(AcmeError::key)?;
    let mut params = CertificateParams::new(vec![host.to_string()]).map_err(AcmeError::key)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let made = params.self_signed(&key).map_err(AcmeError::key)?;
    Ok((made.pem(), key.serialize_pem()))
}
