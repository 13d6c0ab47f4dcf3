//! The certificates of the listeners: read at the start, and again when somebody asks or a file has changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Certificate, CertificateStore, Files, Stamp, Strangers, TlsError};

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// The file of the certificate and those that vouch for it, the own one first, in PEM form.
    pub cert: PathBuf,
    /// The file of its private key, in PEM form.
    pub key: PathBuf,
}

/// The certificates in force, and the files that they came from.
#[derive(Debug)]
pub struct Certificates {
    store: Arc<CertificateStore>,
    files: Mutex<Source>,
}

#[derive(Debug)]
struct Source {
    files: Vec<Files>,
    /// How the files looked when they were last read, whether or not that went well.
    stamps: Vec<Stamp>,
}

impl Certificates {
    /// Reads them.
    ///
    /// # Errors
    /// When one cannot be used, or there are none.
    pub fn open(certificates: &[CertificateConfig], strangers: Strangers) -> Result<Certificates, TlsError> {
        let files = files(certificates);
        let stamps = files.iter().map(Files::stamp).collect();
        let certificates: Result<Vec<Certificate>, TlsError> = files.iter().map(Files::load).collect();
        let store = Arc::new(CertificateStore::new(&certificates?)?.with_strangers(strangers));
        Ok(Certificates { store, files: Mutex::new(Source { files, stamps }) })
    }

    /// What handshakes take them from.
    pub fn store(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.store)
    }

    /// Reads these instead.
    ///
    /// # Errors
    /// When one cannot be used: then all stay that were in use, and their files are those that are looked at.
    pub fn replace(&self, certificates: &[CertificateConfig]) -> Result<(), TlsError> {
        let files = files(certificates);
        let stamps = files.iter().map(Files::stamp).collect();
        let mut source = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.reload(&files)?;
        *source = Source { files, stamps };
        Ok(())
    }

    /// Reads them again if a file looks otherwise than when it was last read; whether one did.
    ///
    /// # Errors
    /// When one cannot be used: all stay that were in use. That is said once for each change.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let mut source = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<Stamp> = source.files.iter().map(Files::stamp).collect();
        if stamps == source.stamps {
            return Ok(false);
        }
        source.stamps = stamps;
        self.store.reload(&source.files)?;
        Ok(true)
    }
}

fn files(certificates: &[CertificateConfig]) -> Vec<Files> {
    certificates.iter().map(|one| Files { chain: one.cert.clone(), key: one.key.clone() }).collect()
}
