//! What is kept on disk, for its owner alone: the account, the certificates with their keys, orders under way, and which hosts
//! wait after a failure. Each file is written whole beside its place, synced, and moved there.
//!
//! ```text
//! acme-v02.api.letsencrypt.org-9d2f4c01/     one folder for each authority: what one gave is never taken for another's
//!   account.json
//!   failing.json
//!   hosts/shop.example/certificate.pem       the key, then the chain, leaf first
//!   hosts/shop.example/order.json            only while an order is under way
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use instant_acme::AccountCredentials;
use net::tls::Certificate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stdx::clock::Wall;
use stdx::lock::make_private_dir;

use crate::config::is_host;
use crate::error::AcmeError;
use crate::plan::Remembered;

/// How long after its end a certificate is kept on disk.
const KEPT_S: u64 = 30 * 86_400;

/// The folder of one authority.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// An order that the authority has taken, and the key that its certificate will be for.
#[derive(Deserialize, Serialize)]
pub(crate) struct OpenOrder {
    pub(crate) url: String,
    /// PKCS #8 in PEM form.
    pub(crate) key: String,
}

impl Folder {
    /// That of the authority with this directory, below `root`; made where it is missing.
    pub(crate) fn open(root: &Path, directory: &str) -> Result<Folder, AcmeError> {
        let uri = directory.parse::<::http::Uri>().ok();
        let host = uri.as_ref().and_then(::http::Uri::host).unwrap_or("authority");
        let host: String = host.chars().filter(|one| one.is_ascii_alphanumeric() || ".-".contains(*one)).collect();
        let digest = digest(&SHA256, directory.as_bytes());
        let hex: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = root.join(format!("{}-{hex}", host.trim_matches('.')));
        for path in [root, &folder, &folder.join("hosts")] {
            make_private_dir(path).map_err(|source| AcmeError::Disk { path: path.to_path_buf(), source })?;
        }
        Ok(Folder(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn account(&self) -> Result<Option<AccountCredentials>, AcmeError> {
        read_json(&self.0.join("account.json"))
    }

    pub(crate) fn keep_account(&self, account: &AccountCredentials) -> Result<(), AcmeError> {
        write_json(&self.0.join("account.json"), account)
    }

    /// The account is not known any more; its key stays in a file that nobody reads.
    pub(crate) fn set_account_aside(&self) -> Result<(), AcmeError> {
        let path = self.0.join("account.json");
        fs::rename(&path, self.0.join("account.json.old")).map_err(|source| AcmeError::Disk { path, source })
    }

    pub(crate) fn remembered(&self) -> Result<Remembered, AcmeError> {
        Ok(read_json(&self.0.join("failing.json"))?.unwrap_or_default())
    }

    pub(crate) fn remember(&self, remembered: &Remembered) -> Result<(), AcmeError> {
        write_json(&self.0.join("failing.json"), remembered)
    }

    fn of_host(&self, host: &str) -> PathBuf {
        self.0.join("hosts").join(host)
    }

    pub(crate) fn open_order(&self, host: &str) -> Result<Option<OpenOrder>, AcmeError> {
        read_json(&self.of_host(host).join("order.json"))
    }

    pub(crate) fn keep_order(&self, host: &str, order: &OpenOrder) -> Result<(), AcmeError> {
        self.make(host)?;
        write_json(&self.of_host(host).join("order.json"), order)
    }

    pub(crate) fn forget_order(&self, host: &str) -> Result<(), AcmeError> {
        let path = self.of_host(host).join("order.json");
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(AcmeError::Disk { path, source }),
            _ => Ok(()),
        }
    }

    /// Keeps a certificate and forgets the order that it came by.
    pub(crate) fn keep_certificate(&self, host: &str, key: &str, chain: &str) -> Result<(), AcmeError> {
        self.make(host)?;
        let path = self.of_host(host).join("certificate.pem");
        write(&path, format!("{}\n{chain}", key.trim_end()).as_bytes())?;
        self.forget_order(host)
    }

    fn make(&self, host: &str) -> Result<(), AcmeError> {
        let path = self.of_host(host);
        make_private_dir(&path).map_err(|source| AcmeError::Disk { path, source })
    }

    /// The certificates by host that are still good. One that cannot be read is passed over, and asked for anew; those whose
    /// time is long over are removed.
    pub(crate) fn certificates(&self, now: Wall) -> Result<Vec<(String, Certificate)>, AcmeError> {
        let hosts = self.0.join("hosts");
        let failed = |source| AcmeError::Disk { path: hosts.clone(), source };
        let now_s = now.millis() / 1_000;
        let mut certificates = Vec::new();
        for entry in fs::read_dir(&hosts).map_err(failed)? {
            let Ok(host) = entry.map_err(failed)?.file_name().into_string() else { continue };
            if !is_host(&host) {
                continue;
            }
            match self.certificate(&host) {
                Ok(None) => {}
                Ok(Some(one)) if one.validity().until_s > now_s => certificates.push((host, one)),
                Ok(Some(one)) if one.validity().until_s.saturating_add(KEPT_S) < now_s => self.remove(&host),
                Ok(Some(_)) => {}
                Err(error) => tracing::error!(host, %error, "a certificate that was kept cannot be used"),
            }
        }
        certificates.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(certificates)
    }

    fn certificate(&self, host: &str) -> Result<Option<Certificate>, AcmeError> {
        let path = self.of_host(host).join("certificate.pem");
        let pem = match fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AcmeError::Disk { path, source }),
        };
        Ok(Some(Certificate::from_pem(&path.display().to_string(), &pem, &pem)?))
    }

    fn remove(&self, host: &str) {
        if let Err(error) = fs::remove_dir_all(self.of_host(host)) {
            tracing::warn!(host, %error, "a certificate whose time is long over cannot be removed");
        }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, AcmeError> {
    let failed = |source| AcmeError::Disk { path: path.to_path_buf(), source };
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), AcmeError> {
    let text = serde_json::to_vec(value);
    write(path, &text.map_err(|error| AcmeError::Disk { path: path.to_path_buf(), source: error.into() })?)
}

fn write(path: &Path, content: &[u8]) -> Result<(), AcmeError> {
    let written = || -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    written().map_err(|source| AcmeError::Disk { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    const NOW: Wall = Wall(1_795_447_185_000_000_000);

    fn keep(folder: &Folder, host: &str, until: (i32, u8, u8)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_string()]).unwrap();
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let chain = params.self_signed(&key).unwrap().pem();
        folder.keep_certificate(host, &key.serialize_pem(), &chain).unwrap();
    }

    fn hosts(folder: &Folder) -> Vec<String> {
        folder.certificates(NOW).unwrap().into_iter().map(|(host, _)| host).collect()
    }

    #[test]
    fn certificates_are_kept_for_their_owner_alone_and_as_long_as_they_are_good() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("acme");
        let folder = Folder::open(&root, "https://ca.example/directory").unwrap();
        keep(&folder, "b.example", (2027, 1, 1));
        keep(&folder, "a.example", (2027, 1, 1));
        keep(&folder, "over.example", (2026, 11, 1));
        keep(&folder, "long-over.example", (2026, 1, 1));
        fs::create_dir(folder.of_host("broken.example")).unwrap();
        fs::write(folder.of_host("broken.example").join("certificate.pem"), "half").unwrap();
        assert_eq!(hosts(&folder), ["a.example", "b.example"]);
        assert!(folder.of_host("over.example").exists() && !folder.of_host("long-over.example").exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.of_host("a.example").join("certificate.pem")), 0o600);
        assert_eq!([mode(&root), mode(folder.path()), mode(&folder.of_host("a.example"))], [0o700; 3]);
        let other = Folder::open(&root, "https://ca.example/staging").unwrap();
        assert_eq!(hosts(&other), [""; 0], "another authority's");
    }

    #[test]
    fn an_order_is_kept_until_its_certificate_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), "https://ca.example/directory").unwrap();
        assert!(folder.open_order("a.example").unwrap().is_none());
        folder.keep_order("a.example", &OpenOrder { url: "https://ca.example/7".into(), key: "k".into() }).unwrap();
        assert_eq!(folder.open_order("a.example").unwrap().unwrap().url, "https://ca.example/7");
        assert_eq!(hosts(&folder), [""; 0]);
        keep(&folder, "a.example", (2027, 1, 1));
        assert!(folder.open_order("a.example").unwrap().is_none());
        folder.forget_order("a.example").unwrap();
    }
}
