//! The certificates of the listeners: read at the start, and again when somebody asks or a file has changed.

use std::sync::{Arc, Mutex, PoisonError};

use net::tls::{Certificate, CertificateStore, Files, Stamp, Strangers, TlsError};

use crate::config::{CertificateConfig, TlsConfig};

/// The certificates in force, and the files that they came from.
#[derive(Debug)]
pub(crate) struct Certificates {
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
    pub(crate) fn open(config: &TlsConfig) -> Result<Certificates, TlsError> {
        let files = files(&config.certificates);
        let stamps = files.iter().map(Files::stamp).collect();
        let certificates: Result<Vec<Certificate>, TlsError> = files.iter().map(Files::load).collect();
        let strangers = if config.strict_names { Strangers::Refused } else { Strangers::First };
        let store = Arc::new(CertificateStore::new(&certificates?)?.with_strangers(strangers));
        Ok(Certificates { store, files: Mutex::new(Source { files, stamps }) })
    }

    pub(crate) fn store(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.store)
    }

    /// Reads these instead.
    ///
    /// # Errors
    /// When one cannot be used: then all stay that were in use, and their files are those that are looked at.
    pub(crate) fn replace(&self, certificates: &[CertificateConfig]) -> Result<(), TlsError> {
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
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
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
