//! Certificates by name, exchanged as a whole while handshakes go on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, TlsError};

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

#[derive(Default)]
struct Table {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name no host, and for strangers where they are let in. `None` while there are no certificates: then
    /// nobody is served.
    first: Option<Arc<CertifiedKey>>,
}

impl CertificateStore {
    /// A store with these certificates; of two for one name the earlier counts, and the very first serves clients that name
    /// no host.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(certificates: &[Certificate]) -> Result<CertificateStore, TlsError> {
        if certificates.is_empty() {
            return Err(TlsError::Empty);
        }
        let store = CertificateStore { table: ArcSwap::default(), strangers: Strangers::Refused };
        store.put(certificates);
        Ok(store)
    }

    /// A store that gets its certificates later, see [`CertificateStore::put`].
    pub(super) fn empty(strangers: Strangers) -> CertificateStore {
        CertificateStore { table: ArcSwap::default(), strangers }
    }

    /// Exchanges all certificates at once.
    ///
    /// # Errors
    /// When there are none: the ones in use stay.
    pub fn replace(&self, certificates: &[Certificate]) -> Result<(), TlsError> {
        if certificates.is_empty() {
            return Err(TlsError::Empty);
        }
        self.put(certificates);
        Ok(())
    }

    /// As [`CertificateStore::replace`], and there may be none.
    pub(super) fn put<'a>(&self, certificates: impl IntoIterator<Item = &'a Certificate>) {
        let mut table = Table::default();
        for certificate in certificates {
            table.first.get_or_insert_with(|| Arc::clone(&certificate.key));
            for name in certificate.names() {
                table.by_name.entry(name.clone()).or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        self.table.store(Arc::new(table));
    }

    /// The certificate for a name that a client asked for: its own, else that of its domain, else what strangers get.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let Some(name) = name else { return table.first.clone() };
        let name = name.to_ascii_lowercase();
        let of_domain = || table.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        let found = table.by_name.get(&name).or_else(of_domain);
        let first = table.first.as_ref().filter(|_| self.strangers == Strangers::First);
        found.or(first).cloned()
    }
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
