//! One certificate with its key, from PEM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use stdx::clock::Wall;

use super::TlsError;
use super::facts::{self, Facts, Validity};
use super::ocsp::{self, Staple};

/// A chain and its key, and the names that it is for.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// Lower case, `*.` first where it is for all hosts of a domain.
    names: Vec<String>,
    facts: Facts,
    /// When its OCSP response may be believed no longer, in seconds since 1970.
    pub(super) staple_until_s: Option<u64>,
}

/// Where a certificate lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// How files looked at one moment: another content has another stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

impl Stamp {
    pub(super) fn of(paths: &[&Path]) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let look = |path: &&Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
        };
        Stamp(paths.iter().map(look).collect())
    }
}

impl Files {
    /// How they look now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp::of(&[&self.chain, &self.key, &ocsp::beside(&self.chain)])
    }

    /// Reads both, and the OCSP response beside them. One that cannot be used is left out: no staple is better than a wrong
    /// one.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not make a certificate.
    pub fn load(&self, now: Wall) -> Result<Certificate, TlsError> {
        let what = self.chain.display().to_string();
        let certificate = Certificate::from_pem(&what, &read(&self.chain)?, &read(&self.key)?)?;
        let path = ocsp::beside(&self.chain);
        let (certificate, why) = match ocsp::read(&path, now) {
            Ok(None) => (certificate, None),
            Ok(Some(staple)) => (certificate.with_staple(staple), None),
            Err(why) => (certificate, Some(why)),
        };
        if let Some(why) = &why {
            tracing::warn!(path = %path.display(), %why, "the OCSP response is not sent along");
        } else if certificate.must_staple() && certificate.staple_until_s.is_none() {
            tracing::warn!(path = %path.display(), "clients may refuse a certificate that wants an OCSP response: there is none");
        }
        Ok(certificate)
    }
}

impl Certificate {
    /// Reads a chain, leaf first, and its key. `what` names it in errors.
    ///
    /// # Errors
    /// When there is none, the key is another's, or the certificate names no host.
    pub fn from_pem(what: &str, chain: &[u8], key: &[u8]) -> Result<Certificate, TlsError> {
        let chain = chain_from_pem(what, chain)?;
        let key = key_from_pem(what, key)?;
        let names = names(&chain).unwrap_or_default();
        if names.is_empty() {
            return Err(TlsError::Nameless(what.to_string()));
        }
        let facts = chain.first().and_then(|leaf| facts::of(leaf));
        let facts = facts.ok_or_else(|| TlsError::Timeless(what.to_string()))?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|source| TlsError::Key { what: what.to_string(), source })?;
        Ok(Certificate { key: Arc::new(key), names, facts, staple_until_s: None })
    }

    fn with_staple(self, staple: Staple) -> Certificate {
        let mut key = CertifiedKey::clone(&self.key);
        key.ocsp = Some(staple.response);
        // One without an end is good until there is another.
        Certificate { key: Arc::new(key), staple_until_s: Some(staple.until_s.unwrap_or(u64::MAX)), ..self }
    }

    /// Whether it is for this host, by its own name or that of its domain.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let of_domain = |name: &str| Some(name.strip_prefix("*.")? == host.split_once('.')?.1);
        self.names.iter().any(|name| name == host || of_domain(name) == Some(true))
    }

    /// When it is good.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.facts.validity
    }

    /// What its authority calls it (RFC 9773, 4.1): the name of the authority's key, and the serial number.
    #[must_use]
    pub fn issued_as(&self) -> Option<(&[u8], &[u8])> {
        Some((self.facts.authority_key.as_deref()?, &self.facts.serial))
    }

    /// Whether clients may refuse it without an OCSP response.
    #[must_use]
    pub fn must_staple(&self) -> bool {
        self.facts.must_staple
    }

    /// Whether an OCSP response goes out with it.
    #[must_use]
    pub fn is_stapled(&self) -> bool {
        self.key.ocsp.is_some()
    }

    /// The names that it is for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The certificates of a PEM text, at least one.
pub(super) fn chain_from_pem(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |reason: String| TlsError::Pem { what: what.to_string(), wanted: "certificate", reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|reason| malformed(reason.to_string()))?;
    if chain.is_empty() { Err(malformed("no section of that kind".into())) } else { Ok(chain) }
}

pub(super) fn key_from_pem(what: &str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let malformed = |reason: rustls::pki_types::pem::Error| TlsError::Pem {
        what: what.to_string(),
        wanted: "private key",
        reason: reason.to_string(),
    };
    PrivateKeyDer::from_pem_slice(pem).map_err(malformed)
}

/// What somebody shows: a chain, leaf first, and its key, whatever names stand in it.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn identity(files: &Files) -> Result<Identity, TlsError> {
    let chain = chain_from_pem(&files.chain.display().to_string(), &read(&files.chain)?)?;
    Ok((chain, key_from_pem(&files.key.display().to_string(), &read(&files.key)?)?))
}

/// One cryptography for the whole program.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

fn names(chain: &[CertificateDer<'static>]) -> Option<Vec<String>> {
    let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
    Some(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_path_buf(), source })
}
