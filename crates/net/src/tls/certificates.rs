//! The certificates of the listeners: those of files, read at the start and again when somebody asks or a file has changed,
//! and those that somebody obtains while the listeners run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stdx::clock::SharedClock;

use super::{Certificate, CertificateStore, Files, Stamp, Strangers, TlsError};

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// The file of the certificate and those that vouch for it, the own one first, in PEM form. Listeners staple
    /// an OCSP response in DER form that lies beside it, as `site.pem.ocsp` beside `site.pem`, until its time is over.
    pub cert: PathBuf,
    /// The file of its private key, in PEM form.
    pub key: PathBuf,
}

/// The certificates in force, and the files that they came from.
pub struct Certificates {
    store: Arc<CertificateStore>,
    source: Mutex<Source>,
    clock: SharedClock,
}

#[derive(Debug)]
struct Source {
    files: Vec<Files>,
    /// How the files looked when they were last read, whether or not that went well.
    stamps: Vec<Stamp>,
    /// What they held when that went well.
    read: Vec<(Files, Certificate)>,
    /// Those of nobody's files; `None`: there will be none.
    obtained: Option<Vec<Certificate>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads them. `obtained`: those that are there already of the ones that [`Certificates::obtained`] will bring; `None`
    /// when nobody will.
    ///
    /// # Errors
    /// When one cannot be used, or there are none and nobody will obtain any.
    pub fn open(
        certificates: &[CertificateConfig],
        obtained: Option<Vec<Certificate>>,
        strangers: Strangers,
        clock: SharedClock,
    ) -> Result<Certificates, TlsError> {
        let empty = Source { files: Vec::new(), stamps: Vec::new(), read: Vec::new(), obtained };
        let store = Arc::new(CertificateStore::empty(strangers));
        let opened = Certificates { store, source: Mutex::new(empty), clock };
        opened.replace(certificates)?;
        Ok(opened)
    }

    /// What handshakes take them from.
    pub fn store(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.store)
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads these instead.
    ///
    /// # Errors
    /// When one cannot be used: then all stay that were in use, and their files are those that are looked at.
    pub fn replace(&self, certificates: &[CertificateConfig]) -> Result<(), TlsError> {
        let files: Vec<Files> =
            certificates.iter().map(|one| Files { chain: one.cert.clone(), key: one.key.clone() }).collect();
        let stamps = files.iter().map(Files::stamp).collect();
        let mut source = self.source();
        self.read(&mut source, &files)?;
        (source.files, source.stamps) = (files, stamps);
        Ok(())
    }

    /// Reads them again if a file looks otherwise than when it was last read, or the time of an OCSP response is over; whether
    /// that was so.
    ///
    /// # Errors
    /// When one cannot be used: all stay that were in use. That is said once for each change.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let now_s = self.clock.wall().millis() / 1_000;
        let mut source = self.source();
        let stamps: Vec<Stamp> = source.files.iter().map(Files::stamp).collect();
        let is_stale = |(_, one): &(Files, Certificate)| one.staple_until_s.is_some_and(|until_s| until_s <= now_s);
        if stamps == source.stamps && !source.read.iter().any(is_stale) {
            return Ok(false);
        }
        source.stamps = stamps;
        let files = source.files.clone();
        self.read(&mut source, &files)?;
        Ok(true)
    }

    fn read(&self, source: &mut Source, files: &[Files]) -> Result<(), TlsError> {
        let now = self.clock.wall();
        let read: Result<Vec<_>, TlsError> = files.iter().map(|one| Ok((one.clone(), one.load(now)?))).collect();
        let read = read?;
        if read.is_empty() && source.obtained.is_none() {
            return Err(TlsError::Empty);
        }
        source.read = read;
        self.put(source);
        Ok(())
    }

    /// Serves with these beside those of files, from the next handshake on; for a name that a file's certificate is for too,
    /// that one counts.
    pub fn obtained(&self, certificates: Vec<Certificate>) {
        let mut source = self.source();
        source.obtained = Some(certificates);
        self.put(&source);
    }

    fn put(&self, source: &Source) {
        let read = source.read.iter().map(|(_, one)| one);
        self.store.put(read.chain(source.obtained.iter().flatten()));
    }

    /// Those of files.
    #[must_use]
    pub fn of_files(&self) -> Vec<(Files, Certificate)> {
        self.source().read.clone()
    }
}
