//! What the schema cannot say about listeners with TLS, and whose folder their files are in.

use std::path::{Path, PathBuf};

use router::config::{ClientCertificate, TlsConfig};

use crate::document::Finding;
use crate::key_path::KeyPath;

/// What does not fit together about `[router.tls]`.
pub(crate) fn rules(tls: &TlsConfig, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("router").key("tls");
    if !tls.listen.is_empty() && tls.certificates.is_empty() {
        let finding = Finding::invalid(at.key("listen"), "there is no certificate to serve HTTPS with").on_key();
        findings
            .push(finding.hint("add certificates = [{ cert = \"/etc/ssl/site.pem\", key = \"/etc/ssl/site.key\" }]"));
    }
    match (&tls.client_ca, tls.client_certificate) {
        (None, ClientCertificate::Optional | ClientCertificate::Required) => {
            let finding = Finding::invalid(at.key("client_certificate"), "certificates of clients cannot be checked");
            findings.push(finding.on_key().hint("name the file of their authorities with `client_ca`"));
        }
        (Some(_), ClientCertificate::Off) => {
            let finding = Finding::invalid(at.key("client_ca"), "clients are not asked for certificates").on_key();
            findings.push(finding.hint("set client_certificate = \"required\" or \"optional\""));
        }
        _ => {}
    }
}

/// The files of a node's certificates are named from the root, like its other paths.
pub(crate) fn absolute(tls: &TlsConfig, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("router").key("tls");
    let mut relative = |at: KeyPath, path: &Path| {
        if !path.is_absolute() {
            let finding = Finding::invalid(at, format!("`{}` is relative", path.display()));
            findings.push(finding.expected("an absolute path"));
        }
    };
    for (n, one) in tls.certificates.iter().enumerate() {
        let at = at.key("certificates").index(n);
        relative(at.key("cert"), &one.cert);
        relative(at.key("key"), &one.key);
    }
    if let Some(path) = &tls.client_ca {
        relative(at.key("client_ca"), path);
    }
}

/// Relative paths start from the folder of the file that names them.
pub(crate) fn within(folder: &Path, tls: &mut TlsConfig) {
    let paths = tls.certificates.iter_mut().flat_map(|one| [&mut one.cert, &mut one.key]);
    for path in paths.chain(&mut tls.client_ca) {
        *path = PathBuf::from(folder).join(&*path);
    }
}
