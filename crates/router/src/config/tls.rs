//! `[router.tls]`: listeners that speak TLS.

use std::path::PathBuf;

pub use acme::AcmeConfig;
use net::listen::ListenAddr;
pub use net::tls::CertificateConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Listeners that speak TLS, and what they show and ask for. Without an address there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Addresses to serve HTTPS on.
    pub listen: Vec<ListenAddr>,
    /// The certificates, each for the names that stand in it, `*.example.com` among them; of two for one name the earlier
    /// counts. The first also serves clients that name no host. Read again on HUP and when a file changes.
    #[schemars(length(max = 1_000))]
    pub certificates: Vec<CertificateConfig>,
    /// Certificates from an authority, beside those of files. Absent: none.
    pub acme: Option<AcmeConfig>,
    /// Whether clients that name a host which no certificate is for are refused; otherwise they get the first certificate.
    pub strict_names: bool,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
    /// The authorities of client certificates, in PEM form.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate of `client_ca`. Endpoints are told whose it is: `Forebay-Client-Subject` and
    /// `Forebay-Client-Sha256`.
    pub client_certificate: ClientCertificate,
    /// Handshakes under way at once, over all workers; beyond it they wait, within their time.
    #[schemars(range(min = 1))]
    pub handshakes_max: u32,
    /// Time for a handshake, a PROXY protocol header before it included; beyond it the connection is closed.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub handshake_timeout_ms: u32,
    /// The port that redirects from HTTP name. Absent: the port of the first address.
    #[schemars(range(min = 1))]
    pub redirect_port: Option<u16>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// 1.3 alone.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// They are not asked for one.
    #[default]
    Off,
    /// One that is shown must be good; none will do as well.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig {
            listen: Vec::new(),
            certificates: Vec::new(),
            acme: None,
            strict_names: false,
            version_min: TlsVersion::default(),
            client_ca: None,
            client_certificate: ClientCertificate::default(),
            handshakes_max: 512,
            handshake_timeout_ms: 10_000,
            redirect_port: None,
        }
    }
}
