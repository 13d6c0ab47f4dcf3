//! Listeners with TLS, spoken to by rustls; `crates/forebay/tests` has curl, OpenSSL and Python.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use router::config::{CertificateConfig, ClientCertificate, HttpsConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::{Act, Endpoint};
use crate::rig::{Client, Proxy, Rig, proxy};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

/// An authority, and a folder with what it has signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Chain and key in PEM form.
    fn issue(&self, names: &[&str], common: &str) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes a certificate for these names to files.
    pub(crate) fn write(&self, names: &[&str]) -> CertificateConfig {
        let stem = names[0].replace('*', "any");
        let files =
            CertificateConfig { cert: self.file(&format!("{stem}.pem")), key: self.file(&format!("{stem}.key")) };
        let (chain, key) = self.issue(names, names[0]);
        std::fs::write(&files.cert, chain).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    /// A client that offers HTTP/2 and nothing else.
    pub(crate) fn http2(&self) -> TlsConnector {
        let mut config = ClientConfig::clone(self.client(None).config());
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config).into()
    }

    fn client(&self, identity: Option<(String, String)>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        Arc::new(config).into()
    }

    /// A router with a certificate for `a.example`.
    pub(crate) fn proxy(&self) -> Proxy {
        let certificate = self.write(&["a.example"]);
        proxy().config(|config| {
            config.tls.listen = vec!["127.0.0.1:0".parse().unwrap()];
            config.tls.certificates = vec![certificate];
        })
    }
}

pub(crate) async fn connect(rig: &Rig, connector: &TlsConnector, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(rig.handle.bound_tls()[0]).await.unwrap();
    connector.connect(ServerName::try_from(name.to_string()).unwrap(), stream).await
}

/// One request on a connection of its own, and all that came back.
async fn ask(rig: &Rig, connector: &TlsConnector, request: &str) -> std::io::Result<String> {
    let mut stream = connect(rig, connector, "a.example").await?;
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

#[tokio::test]
async fn a_request_with_tls_says_so_and_its_end_is_said() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let rig = authority.proxy().endpoint(&a).start();
    let reply = ask(&rig, &authority.client(None), GET).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nok"), "{reply}");
    assert_eq!(a.request().one("x-forwarded-proto"), "https");
    assert_eq!(rig.get("/").await.status, 200);
    assert_eq!(a.requests()[1].one("x-forwarded-proto"), "http");
}

#[tokio::test]
async fn much_goes_both_ways_on_one_connection() {
    let authority = Authority::new();
    let a = Endpoint::new(|request| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.content.len());
        Act::Reply([head.as_bytes(), &request.content].concat())
    })
    .await;
    let rig = authority.proxy().endpoint(&a).start();
    let mut stream = connect(&rig, &authority.client(None), "a.example").await.unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    for _ in 0..2 {
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let head = format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {}\r\n\r\n", content.len());
        let send = async {
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(&content).await.unwrap();
            write.flush().await.unwrap();
        };
        let receive = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(read.read_u8().await.unwrap());
            }
            let mut got = vec![0; content.len()];
            read.read_exact(&mut got).await.unwrap();
            got
        };
        assert!(tokio::join!(send, receive).1 == content);
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_does_not_look_whole() {
    let authority = Authority::new();
    let a = Endpoint::new(|_| Act::ReplyAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec())).await;
    let rig = authority.proxy().endpoint(&a).start();
    let error = ask(&rig, &authority.client(None), GET).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
}

#[tokio::test]
async fn certificates_go_by_name_and_strangers_get_the_first_or_nothing() {
    for strict in [false, true] {
        let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
        let second = authority.write(&["*.b.example", "b.example"]);
        let rig = authority
            .proxy()
            .endpoint(&a)
            .config(|config| {
                config.tls.certificates.push(second);
                config.tls.strict_names = strict;
            })
            .start();
        let client = authority.client(None);
        for name in ["a.example", "b.example", "x.b.example"] {
            assert!(connect(&rig, &client, name).await.is_ok(), "{name}");
        }
        let stranger = connect(&rig, &client, "c.example").await.unwrap_err().to_string();
        let wanted = if strict { "received fatal alert" } else { "not valid for name" };
        assert!(stranger.contains(wanted), "{stranger}");
    }
}

#[tokio::test]
async fn a_client_s_certificate_reaches_the_application_and_cannot_be_forged() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let ca = authority.file("ca.pem");
    let rig = authority
        .proxy()
        .endpoint(&a)
        .config(|config| {
            config.tls.client_ca = Some(ca);
            config.tls.client_certificate = ClientCertificate::Optional;
        })
        .start();
    let forged = "GET / HTTP/1.1\r\nhost: a.example\r\nforebay-client-subject: CN=root\r\n\
                  forebay-client-sha256: 00\r\nconnection: close\r\n\r\n";
    let alice = authority.client(Some(authority.issue(&["client"], "alice, the client")));
    ask(&rig, &alice, forged).await.unwrap();
    ask(&rig, &authority.client(None), forged).await.unwrap();
    let requests = a.requests();
    assert_eq!(requests[0].one("forebay-client-subject"), "CN=alice\\, the client");
    assert_eq!(requests[0].one("forebay-client-sha256").len(), 64);
    // This peer is trusted (loopback), and yet it has shown nothing.
    assert_eq!(requests[1].all("forebay-client-subject"), [""; 0]);
    assert_eq!(requests[1].all("forebay-client-sha256"), [""; 0]);
    let stranger = authority.client(Some(Authority::new().issue(&["client"], "mallory")));
    assert!(ask(&rig, &stranger, GET).await.is_err());
}

#[tokio::test]
async fn without_a_certificate_there_is_no_connection_where_one_is_required() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let ca = authority.file("ca.pem");
    let rig = authority
        .proxy()
        .endpoint(&a)
        .config(|config| {
            config.tls.client_ca = Some(ca);
            config.tls.client_certificate = ClientCertificate::Required;
        })
        .start();
    assert!(ask(&rig, &authority.client(None), GET).await.is_err());
    assert_eq!(a.requests().len(), 0);
    let known = authority.client(Some(authority.issue(&["client"], "alice")));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = connect(&rig, &known, "a.example").await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
    }
    assert!(a.requests().iter().all(|request| request.one("forebay-client-subject") == "CN=alice"));
}

#[tokio::test]
async fn changed_files_are_taken_and_a_bad_one_leaves_the_old() {
    let (old, new, a) = (Authority::new(), Authority::new(), Endpoint::saying("ok").await);
    let rig = old.proxy().endpoint(&a).start();
    assert!(!rig.handle.refresh_certificates().unwrap());
    std::fs::write(old.file("a.example.pem"), "no certificate").unwrap();
    assert_eq!(rig.handle.refresh_certificates().unwrap_err().code(), "tls_pem_malformed");
    assert!(!rig.handle.refresh_certificates().unwrap(), "one change is said once");
    assert!(ask(&rig, &old.client(None), GET).await.is_ok());
    let (chain, key) = new.issue(&["a.example"], "a.example");
    std::fs::write(old.file("a.example.pem"), chain).unwrap();
    assert_eq!(rig.handle.refresh_certificates().unwrap_err().code(), "tls_key_mismatch", "half of the change");
    std::fs::write(old.file("a.example.key"), key).unwrap();
    assert!(rig.handle.refresh_certificates().unwrap());
    assert!(ask(&rig, &new.client(None), GET).await.is_ok());
    assert!(ask(&rig, &old.client(None), GET).await.is_err());
    let again = old.write(&["other.example", "a.example"]);
    rig.handle.replace_certificates(&[again]).unwrap();
    assert!(ask(&rig, &old.client(None), GET).await.is_ok());
}

#[tokio::test]
async fn handshakes_have_a_time_and_a_place_and_silence_takes_no_place() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let rig = authority
        .proxy()
        .endpoint(&a)
        .config(|config| {
            config.tls.handshakes_max = 1;
            config.tls.handshake_timeout_ms = 3_000;
        })
        .start();
    let addr = rig.handle.bound_tls()[0];
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Client::to(addr).await);
    }
    assert!(ask(&rig, &authority.client(None), GET).await.is_ok());
    let mut begun = Client::to(addr).await;
    begun.send([0x16, 3, 1]).await;
    assert!(begun.is_closed().await);
    assert!(silent[0].is_closed().await);
    assert!(ask(&rig, &authority.client(None), GET).await.is_ok());
    let mut plain = Client::to(addr).await;
    plain.send(GET).await;
    let mut answer = Vec::new();
    // An alert and the end; perhaps a reset, for what was not read.
    if plain.stream.read_to_end(&mut answer).await.is_ok() {
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_router_that_leaves_finishes_what_is_in_flight_and_parts() {
    let authority = Authority::new();
    let (open, gate) = tokio::sync::watch::channel(false);
    let a = Endpoint::new(move |_| Act::WhenOpen(gate.clone())).await;
    let rig = authority.proxy().endpoint(&a).config(|config| config.drain_idle_ms = 50).start();
    let client = authority.client(None);
    let mut idle = connect(&rig, &client, "a.example").await.unwrap();
    let _silent = Client::to(rig.handle.bound_tls()[0]).await;
    let mut busy = connect(&rig, &client, "a.example").await.unwrap();
    busy.write_all(GET.as_bytes()).await.unwrap();
    crate::rig::eventually(|| a.requests().len() == 1).await;
    let handle = rig.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(Duration::from_secs(20)).await });
    assert_eq!(idle.read(&mut [0; 9]).await.unwrap(), 0, "its end is said");
    open.send(true).unwrap();
    let mut reply = String::new();
    busy.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(draining.await.unwrap(), "nothing had to be cut");
}

#[tokio::test]
async fn a_route_sends_its_clients_to_tls_and_tells_them_to_stay() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let https = HttpsConfig { redirect: true, hsts_max_age_s: Some(31_536_000), hsts_subdomains: true };
    let rig = authority.proxy().endpoint(&a).policy(|policy| policy.https = Some(https)).start();
    let port = rig.handle.bound_tls()[0].port();
    let reply = rig.send("POST /x?y=1 HTTP/1.1\r\nhost: a.example:80\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!((reply.status, reply.one("location")), (308, &*format!("https://a.example:{port}/x?y=1")));
    assert_eq!(reply.all("strict-transport-security"), [""; 0], "without TLS anybody could have said it");
    assert_eq!(a.requests().len(), 0);
    let reply = ask(&rig, &authority.client(None), GET).await.unwrap();
    assert!(reply.contains("\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n"), "{reply}");
    // A trusted peer in front may have done the TLS.
    let reply = rig.send("GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-proto: https\r\n\r\n").await;
    assert_eq!((reply.status, reply.all("strict-transport-security").len()), (200, 1));
}

#[tokio::test]
async fn a_balancer_s_header_stands_before_the_handshake() {
    let (authority, a) = (Authority::new(), Endpoint::saying("ok").await);
    let rig =
        authority.proxy().endpoint(&a).config(|config| config.proxy_protocol_from = vec!["127.0.0.1".into()]).start();
    let addresses = net::proxy_protocol::Addresses {
        source: "203.0.113.7:40000".parse().unwrap(),
        destination: "192.0.2.1:443".parse().unwrap(),
    };
    let mut stream = TcpStream::connect(rig.handle.bound_tls()[0]).await.unwrap();
    stream.write_all(&net::proxy_protocol::write_v2(Some(addresses))).await.unwrap();
    let name = ServerName::try_from("a.example").unwrap();
    let mut stream = authority.client(None).connect(name, stream).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(a.request().one("x-forwarded-for"), "203.0.113.7");
    assert_eq!(a.request().one("x-forwarded-proto"), "https");
}
