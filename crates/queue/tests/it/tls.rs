//! The port with TLS: the same protocol, and nobody from outside without a token.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use net::tls::CertificateConfig;
use queue::config::Config;
use queue::{Handle, NoSink, StartError, TlsConfig, TokenSource};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use stdx::ids::Scope;
use tempfile::TempDir;

use crate::rig::{Client, PATIENCE, config, deps, deps_with};

/// `token-shop` opens shop.
struct Tokens;

impl TokenSource for Tokens {
    fn namespace(&self, token: &str) -> Option<Scope> {
        token.strip_prefix("token-")?.parse().ok()
    }
}

/// Writes a certificate for `localhost`, and returns where, and itself.
fn certificate(folder: &Path, name: &str) -> (CertificateConfig, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let files = CertificateConfig { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&files.cert, made.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    (files, made.der().clone())
}

struct Rig {
    folder: TempDir,
    handle: Handle,
    certificate: CertificateDer<'static>,
}

fn start(listen: &str, more: impl FnOnce(&mut Config)) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let (files, certificate) = certificate(folder.path(), "site");
    let tls = TlsConfig { listen: vec![listen.parse().unwrap()], certificates: vec![files], ..TlsConfig::default() };
    let mut config = Config { tls, ..config() };
    more(&mut config);
    let deps = deps_with(Arc::new(Tokens), Arc::new(NoSink));
    let handle = queue::start(config, folder.path().join("queue"), deps).unwrap();
    Rig { folder, handle, certificate }
}

impl Rig {
    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.handle.bound_tls()[0].port()))
    }

    fn connect(&self) -> Secure {
        Secure::connect(self.addr(), &self.certificate)
    }

    fn plain(&self) -> Client {
        Client::connect(self.handle.bound()[0])
    }
}

/// A client with TLS.
struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    fn connect(addr: SocketAddr, trusted: &CertificateDer<'static>) -> Secure {
        Secure::try_connect(addr, trusted).unwrap()
    }

    fn try_connect(addr: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Secure> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = TcpStream::connect(addr)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        session.complete_io(&mut tcp)?;
        Ok(Secure(BufReader::new(StreamOwned::new(session, tcp))))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.hear()
    }

    /// What comes until the server says that all was said.
    fn rest_of_it(&mut self) -> std::io::Result<String> {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).map(|_| rest)
    }
}

#[test]
fn the_protocol_is_the_same_with_tls_and_so_are_the_tubes() {
    let rig = start("127.0.0.1:0", |_| {});
    let (mut secure, mut plain) = (rig.connect(), rig.plain());
    assert_eq!(secure.ask("put 0 0 60 5\r\nhello"), "INSERTED 1", "on loopback nobody asks for a token");
    assert_eq!(plain.ask_all("reserve"), "RESERVED 1 5\nhello");
    plain.say("delete 1");
    assert_eq!(plain.hear(), "DELETED");
    let mut waiting = rig.connect();
    waiting.send(b"reserve\r\n");
    while plain.stat("stats", "current-waiting") != "1" {}
    plain.put("0 0 60", "for whoever waits");
    assert_eq!(waiting.hear(), "RESERVED 2 17");
    assert_eq!(waiting.hear(), "for whoever waits");
    assert_eq!(waiting.ask("auth token-shop"), "AUTHORIZED");
    assert_eq!(waiting.ask("peek 2"), "NOT_FOUND", "it has the tubes of an application now");
    waiting.send(b"quit\r\n");
    assert_eq!(waiting.rest_of_it().unwrap(), "", "the end is said");
}

#[test]
fn large_bodies_come_and_go_whole() {
    let rig = start("127.0.0.1:0", |config| config.job_bytes_max = 1 << 20);
    let mut secure = rig.connect();
    let body: String = (0..(1 << 20)).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let mut pipelined = Vec::new();
    for _ in 0..5 {
        pipelined.extend_from_slice(format!("put 0 0 60 {}\r\n{body}\r\n", body.len()).as_bytes());
    }
    secure.send(&pipelined);
    for id in 1..=5 {
        assert_eq!(secure.hear(), format!("INSERTED {id}"));
    }
    // More than any buffer between us holds, and read late.
    secure.send("peek 1\r\npeek 2\r\npeek 3\r\npeek 4\r\npeek 5\r\nlist-tube-used\r\n".as_bytes());
    for id in 1..=5 {
        assert_eq!(secure.hear(), format!("FOUND {id} {}", body.len()));
        assert!(secure.hear() == body);
    }
    assert_eq!(secure.hear(), "USING default");
}

#[test]
fn from_other_machines_nobody_does_anything_without_a_token() {
    let rig = start("0.0.0.0:0", |_| {});
    let mut stranger = rig.connect();
    assert_eq!(stranger.ask("stats"), "NOT_AUTHORIZED");
    assert_eq!(stranger.ask("auth wrong"), "NOT_AUTHORIZED");
    assert_eq!(stranger.ask("use x"), "NOT_AUTHORIZED");
    assert_eq!(stranger.rest_of_it().unwrap(), "", "three times are enough");
    let mut shop = rig.connect();
    assert_eq!(shop.ask("reserve-with-timeout 0"), "NOT_AUTHORIZED");
    assert_eq!(shop.ask("auth token-shop"), "AUTHORIZED");
    assert_eq!(shop.ask("put 0 0 60 1\r\nx"), "INSERTED 1");
    assert_eq!(rig.plain().ask("peek 1"), "NOT_FOUND", "what it put is the application's");
    let mut sneaky = rig.connect();
    sneaky.send(b"put 0 0 60 14\r\nauth token-shop\r\nput 0 0 60 1\r\ny\r\n");
    assert_eq!(sneaky.hear(), "NOT_AUTHORIZED");
}

#[test]
fn who_does_not_say_whose_it_is_in_time_is_closed() {
    let rig = start("0.0.0.0:0", |config| config.tls.handshake_timeout_ms = 300);
    let mut silent = rig.connect();
    assert_eq!(silent.rest_of_it().unwrap(), "");
    let mut never = TcpStream::connect(rig.addr()).unwrap();
    never.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(never.read(&mut [0; 8]).unwrap(), 0, "nor is a handshake waited for");
    let mut shop = rig.connect();
    assert_eq!(shop.ask("auth token-shop"), "AUTHORIZED");
    assert_eq!(shop.ask("reserve-with-timeout 1"), "TIMED_OUT", "whoever has said it may take its time");
}

#[test]
fn other_words_than_tls_are_not_answered() {
    let rig = start("127.0.0.1:0", |_| {});
    for words in ["put 0 0 60 1\r\nx\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut plain = TcpStream::connect(rig.addr()).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(words.as_bytes()).unwrap();
        let mut heard = Vec::new();
        if plain.read_to_end(&mut heard).is_ok() {
            assert!(!heard.windows(3).any(|three| three.is_ascii() && three == b"ERT"), "{heard:?}");
        }
    }
    let mut browser = rig.connect();
    browser.send(b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nput 0 0 60 1\r\nx\r\n");
    assert_eq!(browser.rest_of_it().unwrap(), "");
    assert_eq!(rig.plain().stat("stats", "total-jobs"), "0");
}

#[test]
fn a_client_that_takes_no_answers_is_closed_with_tls_as_well() {
    let rig = start("127.0.0.1:0", |config| config.output_stall_ms = 300);
    let mut plain = rig.plain();
    let id = plain.put("0 0 60", &"z".repeat(60_000));
    let mut deaf = rig.connect();
    deaf.0.get_mut().sock.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let commands = format!("peek {id}\r\n").repeat(1000);
    let mut sent = 0;
    while sent < 1000 && deaf.0.get_mut().write_all(commands.as_bytes()).is_ok() {
        sent += 1;
    }
    assert!(sent < 1000, "it was read on and on");
    while plain.stat("stats", "current-connections") != "1" {}
}

#[test]
fn a_certificate_is_exchanged_while_clients_are_served() {
    let rig = start("127.0.0.1:0", |_| {});
    let mut before = rig.connect();
    let (next, next_certificate) = certificate(rig.folder.path(), "next");
    rig.handle.replace_certificates(std::slice::from_ref(&next)).unwrap();
    assert!(Secure::try_connect(rig.addr(), &rig.certificate).is_err(), "the old one is not shown any more");
    assert_eq!(Secure::connect(rig.addr(), &next_certificate).ask("list-tube-used"), "USING default");
    assert_eq!(before.ask("list-tube-used"), "USING default", "who is there stays");
    let missing = CertificateConfig { cert: "/nowhere".into(), key: "/nowhere".into() };
    assert_eq!(rig.handle.replace_certificates(&[missing]).unwrap_err().code(), "tls_file_unreadable");
    assert!(!rig.handle.refresh_certificates().unwrap(), "nothing has changed");
    assert_eq!(Secure::connect(rig.addr(), &next_certificate).ask("list-tube-used"), "USING default");
}

#[test]
fn what_could_not_be_kept_from_strangers_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certificate(folder.path(), "site");
    let tls =
        TlsConfig { listen: vec!["0.0.0.0:0".parse().unwrap()], certificates: vec![files], ..TlsConfig::default() };
    let refused = |config| queue::start(config, folder.path().join("queue"), deps()).err().unwrap();
    let nobody_has_a_token = refused(Config { tls: tls.clone(), ..config() });
    assert!(matches!(nobody_has_a_token, StartError::Open(_)), "{nobody_has_a_token}");
    let no_certificate = TlsConfig { certificates: Vec::new(), listen: vec!["127.0.0.1:0".parse().unwrap()], ..tls };
    assert_eq!(refused(Config { tls: no_certificate, ..config() }).code(), "tls_certificate_missing");
}
