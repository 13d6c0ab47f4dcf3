//! What the schema cannot say about listeners with TLS, and whose folder their files are in.

use std::path::{Path, PathBuf};

use acme::AcmeFault;
use net::tls::{Alpn, ConnectConfig, Verify};
use router::config::{AcmeConfig, CertificateConfig, ClientCertificate, Protocol, TlsConfig};

use crate::document::Finding;
use crate::key_path::KeyPath;
use crate::router_file::Upstream;

/// What does not fit together about `[router.tls]`.
pub(crate) fn rules(tls: &TlsConfig, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("router").key("tls");
    if !tls.listen.is_empty() && tls.certificates.is_empty() && tls.acme.is_none() {
        findings.push(no_certificate(&at, "there is no certificate to serve HTTPS with"));
    }
    if let Some(acme) = &tls.acme {
        of_acme(&at.key("acme"), acme, findings);
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

/// What no authority can be asked for.
fn of_acme(at: &KeyPath, acme: &AcmeConfig, findings: &mut Vec<Finding>) {
    for fault in acme.faults() {
        let (at, hint) = match &fault {
            AcmeFault::Directory(_) => (at.key("directory"), "such as https://acme-v02.api.letsencrypt.org/directory"),
            AcmeFault::Terms => (at.key("terms_agreed"), "read them, and write terms_agreed = true"),
            AcmeFault::Contact(_) => (at.key("contact"), "such as contact = [\"ops@example.com\"]"),
            AcmeFault::Wildcard(n, _) => (at.key("hosts").index(*n), "list each host by its name"),
            AcmeFault::Address(n, _) | AcmeFault::Host(n, _) => {
                (at.key("hosts").index(*n), "such as shop.example, in lower case; others in their ASCII form (xn--)")
            }
        };
        findings.push(Finding::invalid(at, fault.to_string()).hint(hint));
    }
    if acme.retry_min_ms > acme.retry_max_ms {
        let message = format!("the first wait of {} ms is longer than the longest", acme.retry_min_ms);
        findings.push(Finding::invalid(at.key("retry_min_ms"), message).hint("raise retry_max_ms as well"));
    }
}

fn no_certificate(at: &KeyPath, message: &str) -> Finding {
    let finding = Finding::invalid(at.key("listen"), message).on_key();
    finding.hint("add certificates = [{ cert = \"/etc/ssl/site.pem\", key = \"/etc/ssl/site.key\" }]")
}

/// What does not fit together about `[queue.tls]` of a node.
pub(crate) fn of_queue(tls: &queue::TlsConfig, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("queue").key("tls");
    if !tls.listen.is_empty() && tls.certificates.is_empty() {
        findings.push(no_certificate(&at, "there is no certificate to serve the queue with"));
    }
    absolute_certificates(&at, &tls.certificates, findings);
}

/// What does not fit together about the protocols of an upstream and its checks.
pub(crate) fn of_upstream(at: &KeyPath, upstream: &Upstream, findings: &mut Vec<Finding>) {
    if let Some(tls) = &upstream.tls {
        if upstream.policy.protocol == Protocol::H2c {
            let finding = Finding::invalid(at.key("protocol"), "`h2c` is HTTP/2 without TLS").on_key();
            findings.push(finding.hint("leave `protocol` out, and write tls.protocols = [\"h2\"]"));
        }
        if upstream.srv.is_some() && tls.server_name.is_none() && tls.verify == Verify::Full {
            let finding = Finding::invalid(at.key("tls"), "no name to check certificates of `srv` with").on_key();
            findings.push(finding.hint("write tls.server_name = \"web.internal\""));
        }
    }
    if let Some(check) = &upstream.health {
        let http2 = match &upstream.tls {
            Some(tls) => tls.protocols.contains(&Alpn::Http2),
            None => upstream.policy.protocol == Protocol::H2c,
        };
        if check.grpc.is_some() && !http2 {
            let finding = Finding::invalid(at.key("health").key("grpc"), "gRPC needs HTTP/2").on_key();
            findings.push(finding.hint("write protocol = \"h2c\", or offer h2 in tls.protocols"));
        }
        if check.grpc.is_some() && check.path.is_some() {
            let finding = Finding::invalid(at.key("health").key("grpc"), "the check has a `path` already").on_key();
            findings.push(finding.hint("leave one of them out"));
        }
    }
}

/// The files of a node's certificates are named from the root, like its other paths.
pub(crate) fn absolute(tls: &TlsConfig, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("router").key("tls");
    absolute_certificates(&at, &tls.certificates, findings);
    if let Some(path) = &tls.client_ca {
        absolute_path(at.key("client_ca"), path, findings);
    }
    if let Some(acme) = &tls.acme {
        let at = at.key("acme");
        let external = acme.external_account.as_ref().map(|one| &one.key_file);
        let keys = [("ca_file", &acme.ca_file), ("folder", &acme.folder), ("external_account", &external.cloned())];
        for (key, path) in keys {
            path.iter().for_each(|path| absolute_path(at.key(key), path, findings));
        }
    }
}

fn absolute_certificates(at: &KeyPath, certificates: &[CertificateConfig], findings: &mut Vec<Finding>) {
    for (n, one) in certificates.iter().enumerate() {
        let at = at.key("certificates").index(n);
        absolute_path(at.key("cert"), &one.cert, findings);
        absolute_path(at.key("key"), &one.key, findings);
    }
}

fn absolute_path(at: KeyPath, path: &Path, findings: &mut Vec<Finding>) {
    if !path.is_absolute() {
        let finding = Finding::invalid(at, format!("`{}` is relative", path.display()));
        findings.push(finding.expected("an absolute path"));
    }
}

/// As [`within`], of an upstream.
pub(crate) fn upstream_within(folder: &Path, tls: &mut ConnectConfig) {
    tls.files().for_each(|path| *path = folder.join(&*path));
}

/// Relative paths start from the folder of the file that names them.
pub(crate) fn within(folder: &Path, tls: &mut TlsConfig) {
    let paths = tls.certificates.iter_mut().flat_map(|one| [&mut one.cert, &mut one.key]);
    let acme = tls.acme.iter_mut().flat_map(|acme| {
        let external = acme.external_account.as_mut().map(|one| &mut one.key_file);
        acme.ca_file.iter_mut().chain(&mut acme.folder).chain(external)
    });
    for path in paths.chain(&mut tls.client_ca).chain(acme) {
        *path = PathBuf::from(folder).join(&*path);
    }
}
