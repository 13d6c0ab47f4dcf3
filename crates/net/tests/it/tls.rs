//! Handshakes in memory, with certificates made for the test.

use std::io::{Read, Write};
use std::sync::Arc;

use net::tls::{
    Certificate, CertificateConfig, CertificateStore, Certificates, ClientAuth, ServerSettings, Strangers, TlsError,
    server_config,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection};
use stdx::clock::SystemClock;

/// An authority that signs for hosts and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Chain and key in PEM form.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    fn certificate(&self, names: &[&str]) -> Certificate {
        let (chain, key) = self.issue(names);
        Certificate::from_pem(names[0], chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn client(&self, identity: Option<(String, String)>, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// Carries bytes to and fro until both sides are content; then a word each way.
fn talk(
    server: &Arc<ServerConfig>,
    client: ClientConfig,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), String> {
    let name = ServerName::try_from(name.to_string()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    client.writer().write_all(b"hello").unwrap();
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        }
    }
    let mut word = [0; 5];
    server.reader().read_exact(&mut word).map_err(|error| error.to_string())?;
    assert_eq!(&word, b"hello");
    Ok((server, client))
}

fn listener(certificates: &[Certificate], settings: &ServerSettings) -> (Arc<CertificateStore>, Arc<ServerConfig>) {
    let store = Arc::new(CertificateStore::new(certificates).unwrap());
    (store.clone(), server_config(store, settings).unwrap())
}

fn alpn(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

#[test]
fn certificates_are_chosen_by_name() {
    let authority = Authority::new();
    let certificates = [authority.certificate(&["a.example"]), authority.certificate(&["*.b.example", "b.example"])];
    let (_, server) = listener(&certificates, &ServerSettings::default());
    for name in ["a.example", "A.example", "b.example", "x.b.example"] {
        assert!(talk(&server, authority.client(None, &[]), name).is_ok(), "{name}");
    }
    for name in ["c.example", "x.y.b.example", "x.a.example"] {
        assert!(talk(&server, authority.client(None, &[]), name).is_err(), "{name}");
    }
    let mut nameless = authority.client(None, &[]);
    nameless.enable_sni = false;
    assert!(talk(&server, nameless, "a.example").is_ok(), "the first one serves whoever names no host");
}

#[test]
fn versions_and_protocols() {
    let authority = Authority::new();
    let settings = ServerSettings { alpn: alpn(&["h2", "http/1.1"]), ..ServerSettings::default() };
    let (_, server) = listener(&[authority.certificate(&["a.example"])], &settings);
    let (connection, _) = talk(&server, authority.client(None, &["http/1.1", "h2"]), "a.example").unwrap();
    let agreed = (connection.protocol_version(), connection.alpn_protocol());
    assert_eq!(agreed, (Some(ProtocolVersion::TLSv1_3), Some(&b"h2"[..])));
    let (connection, _) = talk(&server, authority.client(None, &[]), "a.example").unwrap();
    assert_eq!(connection.alpn_protocol(), None);
    assert!(talk(&server, authority.client(None, &["ftp"]), "a.example").is_err());

    let old = || {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    let (connection, _) = talk(&server, old(), "a.example").unwrap();
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let settings = ServerSettings { tls13_only: true, ..ServerSettings::default() };
    let (_, server) = listener(&[authority.certificate(&["a.example"])], &settings);
    assert!(talk(&server, old(), "a.example").is_err());
}

#[test]
fn certificates_are_exchanged_while_running() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let config = CertificateConfig { cert: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    let write = |(chain, key): (String, String)| {
        std::fs::write(&config.cert, chain).unwrap();
        std::fs::write(&config.key, key).unwrap();
    };
    let of =
        |written: &[CertificateConfig]| Certificates::open(written, None, Strangers::Refused, SystemClock::shared());
    assert_eq!(of(std::slice::from_ref(&config)).unwrap_err().code(), "tls_file_unreadable");
    assert!(matches!(of(&[]), Err(TlsError::Empty)));
    write(old.issue(&["a.example"]));
    let certificates = of(std::slice::from_ref(&config)).unwrap();
    let server = server_config(certificates.store(), &ServerSettings::default()).unwrap();
    assert!(talk(&server, new.client(None, &[]), "a.example").is_err());
    let (chain, key) = new.issue(&["a.example"]);
    write((chain.clone(), "half a key".into()));
    assert_eq!(certificates.refresh().unwrap_err().code(), "tls_pem_malformed");
    assert!(!certificates.refresh().unwrap(), "it is said once");
    assert!(matches!(certificates.replace(&[]), Err(TlsError::Empty)));
    assert!(talk(&server, old.client(None, &[]), "a.example").is_ok(), "what was in use stays in use");
    write((chain, key));
    assert!(certificates.refresh().unwrap());
    assert!(talk(&server, new.client(None, &[]), "a.example").is_ok());
    assert!(talk(&server, old.client(None, &[]), "a.example").is_err());
}

#[test]
fn certificates_that_somebody_obtains_stand_behind_those_of_files() {
    let (authority, other) = (Authority::new(), Authority::new());
    let open = |written: &[CertificateConfig]| {
        Certificates::open(written, Some(Vec::new()), Strangers::Refused, SystemClock::shared()).unwrap()
    };
    let certificates = open(&[]);
    let server = server_config(certificates.store(), &ServerSettings::default()).unwrap();
    assert!(talk(&server, authority.client(None, &[]), "a.example").is_err(), "there is none yet");
    certificates.obtained(vec![authority.certificate(&["a.example"])]);
    assert!(talk(&server, authority.client(None, &[]), "a.example").is_ok());
    let folder = tempfile::tempdir().unwrap();
    let config = CertificateConfig { cert: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    let (chain, key) = other.issue(&["a.example"]);
    std::fs::write(&config.cert, chain).unwrap();
    std::fs::write(&config.key, key).unwrap();
    let certificates = open(&[config]);
    certificates.obtained(vec![authority.certificate(&["a.example"]), authority.certificate(&["b.example"])]);
    let server = server_config(certificates.store(), &ServerSettings::default()).unwrap();
    assert!(talk(&server, other.client(None, &[]), "a.example").is_ok());
    assert!(talk(&server, authority.client(None, &[]), "b.example").is_ok());
}

#[test]
fn clients_show_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let roots = authority.0.pem().into_bytes();
    let of = |client_auth| {
        let settings = ServerSettings { client_auth, ..ServerSettings::default() };
        listener(&[authority.certificate(&["a.example"])], &settings).1
    };
    let (required, optional) = (of(ClientAuth::Required(roots.clone())), of(ClientAuth::Optional(roots)));
    let shows = |identity| authority.client(identity, &[]);
    let (own, strange) = (authority.issue(&["client"]), other.issue(&["client"]));
    let (connection, _) = talk(&required, shows(Some(own.clone())), "a.example").unwrap();
    assert_eq!(connection.peer_certificates().map(<[_]>::len), Some(1));
    assert!(talk(&required, shows(None), "a.example").unwrap_err().starts_with("server:"));
    assert!(talk(&required, shows(Some(strange.clone())), "a.example").unwrap_err().starts_with("server:"));
    assert!(talk(&optional, shows(None), "a.example").unwrap().0.peer_certificates().is_none());
    assert!(talk(&optional, shows(Some(own)), "a.example").is_ok());
    assert!(talk(&optional, shows(Some(strange)), "a.example").is_err());
}

#[test]
fn what_is_no_certificate() {
    let authority = Authority::new();
    let ((chain, key), (_, other)) = (authority.issue(&["a.example"]), authority.issue(&["b.example"]));
    let code =
        |chain: &str, key: &str| Certificate::from_pem("x", chain.as_bytes(), key.as_bytes()).unwrap_err().code();
    assert_eq!(code("", &key), "tls_pem_malformed");
    assert_eq!(code(&chain, ""), "tls_pem_malformed");
    assert_eq!(code(&chain, &other), "tls_key_mismatch");
    let (nameless, key) = authority.issue(&["192.0.2.1"]);
    assert_eq!(code(&nameless, &key), "tls_certificate_nameless");
    let settings =
        ServerSettings { client_auth: ClientAuth::Required(b"nothing".to_vec()), ..ServerSettings::default() };
    let store = Arc::new(CertificateStore::new(&[authority.certificate(&["a.example"])]).unwrap());
    assert_eq!(server_config(store, &settings).unwrap_err().code(), "tls_pem_malformed");
}
