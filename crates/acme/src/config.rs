//! `[router.tls.acme]`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Certificates that an authority gives by itself (ACME, RFC 8555), one for each host; renewed when it advises (ARI, RFC 9773),
/// else after two thirds of their time. Without this table none are asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeConfig {
    /// The address of the authority's directory.
    pub directory: String,
    /// Whether you agree to the authority's terms; without that it gives nothing.
    pub terms_agreed: bool,
    /// Addresses for mail about the account, told when it is made.
    #[schemars(length(max = 10))]
    pub contact: Vec<String>,
    /// The file of the authorities that vouch for the directory's own certificate, in PEM form. Absent: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the authority makes sure that a host is yours.
    pub challenge: ChallengeKind,
    /// Hosts that certificates are asked for, beside those of routes; not those that a certificate of a file is for.
    #[schemars(length(max = 1_000))]
    pub hosts: Vec<String>,
    /// Whether certificates are asked for the hosts of routes that have `https`, too. Nobody else's host is ever asked for,
    /// whatever clients name.
    pub hosts_of_routes: bool,
    /// An account that the authority knows you by already.
    pub external_account: Option<ExternalAccountConfig>,
    /// The folder of the account's key and the certificates. Absent: `router/acme` in the data folder.
    pub folder: Option<PathBuf>,
    /// Hosts that certificates are asked for; those beyond it, by the alphabet, get none.
    #[schemars(range(min = 1, max = 10_000))]
    pub hosts_max: u32,
    /// Orders under way at once, for one host never more than one.
    #[schemars(range(min = 1, max = 100))]
    pub orders_max: u16,
    /// Time of one order, the authority's look at the host included.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub order_timeout_ms: u32,
    /// Wait after a first failure; it doubles with each further one.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub retry_min_ms: u32,
    /// The longest wait after a failure, unless the authority asks for a longer one.
    #[schemars(range(min = 1_000, max = 604_800_000))]
    pub retry_max_ms: u32,
    /// The shortest wait of all hosts after the authority said that its limit is reached.
    #[schemars(range(min = 1_000, max = 604_800_000))]
    pub limited_wait_ms: u32,
}

/// How an authority makes sure that a host is yours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChallengeKind {
    /// By HTTP-01, and after a failure by turns with TLS-ALPN-01.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// By a request to port 80 of the host.
    #[serde(rename = "http-01")]
    Http01,
    /// By a handshake at port 443 of the host.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// An account that the authority knows you by already (external account binding).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccountConfig {
    /// Its name with the authority.
    pub key_id: String,
    /// The file of its key, as the authority gives it: base64url.
    pub key_file: PathBuf,
}

impl Default for AcmeConfig {
    fn default() -> AcmeConfig {
        AcmeConfig {
            directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
            terms_agreed: false,
            contact: Vec::new(),
            ca_file: None,
            challenge: ChallengeKind::default(),
            hosts: Vec::new(),
            hosts_of_routes: true,
            external_account: None,
            folder: None,
            hosts_max: 100,
            orders_max: 2,
            order_timeout_ms: 180_000,
            retry_min_ms: 60_000,
            retry_max_ms: 21_600_000,
            limited_wait_ms: 3_600_000,
        }
    }
}

/// What cannot be asked of an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeFault {
    /// Its directory has no address.
    #[error("`{0}` is not the address of a directory")]
    Directory(String),
    /// Nobody has agreed to its terms.
    #[error("an authority gives certificates to those who agree to its terms")]
    Terms,
    /// No mail gets there.
    #[error("`{0}` is no address for mail")]
    Contact(String),
    /// Host number so many is an address.
    #[error("`{1}` is an address; certificates are for hosts with a name")]
    Address(usize, String),
    /// Host number so many stands for many.
    #[error("`{1}` stands for many hosts, and neither HTTP-01 nor TLS-ALPN-01 can show that they are yours")]
    Wildcard(usize, String),
    /// Host number so many is none.
    #[error("`{1}` is no name of a host")]
    Host(usize, String),
}

impl AcmeConfig {
    /// What the schema cannot say.
    #[must_use]
    pub fn faults(&self) -> Vec<AcmeFault> {
        let mut faults = Vec::new();
        let uri = self.directory.parse::<::http::Uri>().ok();
        if uri.is_none_or(|uri| uri.scheme_str() != Some("https") || uri.host().is_none()) {
            faults.push(AcmeFault::Directory(self.directory.clone()));
        }
        if !self.terms_agreed {
            faults.push(AcmeFault::Terms);
        }
        let is_mail = |text: &&String| text.split_once('@').is_some_and(|(who, at)| !who.is_empty() && is_host(at));
        faults.extend(self.contact.iter().filter(|text| !is_mail(text)).cloned().map(AcmeFault::Contact));
        for (n, host) in self.hosts.iter().enumerate() {
            if host.starts_with("*.") {
                faults.push(AcmeFault::Wildcard(n, host.clone()));
            } else if is_address(host) {
                faults.push(AcmeFault::Address(n, host.clone()));
            } else if !is_host(host) {
                faults.push(AcmeFault::Host(n, host.clone()));
            }
        }
        faults
    }

    pub(crate) fn order_timeout(&self) -> Duration {
        Duration::from_millis(self.order_timeout_ms.into())
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// Whether an authority can be asked for a certificate of this host: a name in ASCII (RFC 1123, 2.1), in lower case.
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host.len() <= 253 && !is_address(host) && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_authority_gives_is_refused() {
        let fine = AcmeConfig {
            terms_agreed: true,
            contact: vec!["ops@shop.example".into()],
            hosts: vec!["shop.example".into(), "xn--bcher-kva.example".into()],
            ..AcmeConfig::default()
        };
        assert_eq!(fine.faults(), []);
        let hosts = ["*.shop.example", "10.0.0.1", "[::1]", "::1", "Shop.example", "a..b", "-a.example", ""];
        let bad = AcmeConfig {
            directory: "http://ca.example/directory".into(),
            terms_agreed: false,
            contact: vec!["ops".into()],
            hosts: hosts.map(Into::into).into(),
            ..fine
        };
        let said: Vec<String> = bad.faults().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3 + hosts.len(), "{said:?}");
        assert!(said[3].contains("stands for many hosts") && said[4].contains("is an address"), "{said:?}");
        assert!(said[5..7].iter().all(|one| one.contains("is an address")), "{said:?}");
        assert!(said[7..].iter().all(|one| one.contains("is no name of a host")), "{said:?}");
    }
}
