//! Certificates by name, exchanged as a whole while handshakes go on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, Files, TlsError};

/// What a listener serves with. A handshake takes the certificates of the moment in which it begins.
pub struct CertificateStore {
    table: ArcSwap<Table>,
    strangers: Strangers,
}

/// What becomes of clients that name a host which no certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// They are told that nobody of this name is here.
    #[default]
    Refused,
    /// They get the first certificate.
    First,
}

struct Table {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name no host, and for strangers where they are let in.
    first: Arc<CertifiedKey>,
}

impl CertificateStore {
    /// A store with these certificates; of two for one name the earlier counts, and the very first serves clients that name
    /// no host.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(certificates: &[Certificate]) -> Result<CertificateStore, TlsError> {
        Ok(CertificateStore { table: ArcSwap::from_pointee(table(certificates)?), strangers: Strangers::Refused })
    }

    /// The same for clients that name a host which no certificate is for.
    #[must_use]
    pub fn with_strangers(mut self, strangers: Strangers) -> CertificateStore {
        self.strangers = strangers;
        self
    }

    /// Exchanges all certificates at once.
    ///
    /// # Errors
    /// When there are none: the ones in use stay.
    pub fn replace(&self, certificates: &[Certificate]) -> Result<(), TlsError> {
        self.table.store(Arc::new(table(certificates)?));
        Ok(())
    }

    /// Reads all files again and exchanges all certificates, or none.
    ///
    /// # Errors
    /// When one cannot be read: the ones in use stay.
    pub fn reload(&self, files: &[Files]) -> Result<(), TlsError> {
        let certificates: Result<Vec<Certificate>, TlsError> = files.iter().map(Files::load).collect();
        self.replace(&certificates?)
    }

    /// The certificate for a name that a client asked for: its own, else that of its domain, else what strangers get.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let Some(name) = name else { return Some(table.first.clone()) };
        let name = name.to_ascii_lowercase();
        let of_domain = || table.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        let found = table.by_name.get(&name).or_else(of_domain);
        found.or_else(|| (self.strangers == Strangers::First).then_some(&table.first)).cloned()
    }
}

fn table(certificates: &[Certificate]) -> Result<Table, TlsError> {
    let first = certificates.first().ok_or(TlsError::Empty)?.key.clone();
    let mut by_name = HashMap::new();
    for certificate in certificates {
        for name in certificate.names() {
            by_name.entry(name.clone()).or_insert_with(|| certificate.key.clone());
        }
    }
    Ok(Table { by_name, first })
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.load();
        let mut names: Vec<&String> = table.by_name.keys().collect();
        names.sort_unstable();
        f.debug_struct("CertificateStore").field("names", &names).finish()
    }
}
