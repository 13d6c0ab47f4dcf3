//! An authority of the test's own: it tells its addresses and turns all else away.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use acme::{AcmeConfig, Front};
use net::tls::{Certificate, CertificateStore, ServerSettings, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What it has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Requests that were turned away.
    pub(crate) turned_away: AtomicU32,
    /// Requests for advice when to renew.
    pub(crate) advised: AtomicU32,
}

/// Starts it on this thread; the configuration of those who ask it, whose files are in `folder`. `advice`: what it says about
/// renewals, if anything.
pub(crate) async fn authority(folder: &Path, advice: Option<&'static str>) -> (AcmeConfig, Arc<Heard>) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, own.cert.pem()).unwrap();
    let own = Certificate::from_pem("own", own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes());
    let store = Arc::new(CertificateStore::new(&[own.unwrap()]).unwrap());
    let tls = TlsAcceptor::from(server_config(store, &ServerSettings::default()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Heard::default());
    tokio::task::spawn_local(serve(listener, tls, Arc::clone(&heard), advice));
    let config = AcmeConfig {
        directory: format!("https://localhost:{port}/dir"),
        terms_agreed: true,
        ca_file: Some(ca_file),
        orders_max: 1,
        ..AcmeConfig::default()
    };
    (config, heard)
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, heard: Arc<Heard>, advice: Option<&'static str>) {
    let port = listener.local_addr().unwrap().port();
    let at = |name: &str| format!("\"{name}\":\"https://localhost:{port}/{name}\"");
    let mut addresses = vec![at("newNonce"), at("newAccount"), at("newOrder")];
    addresses.extend(advice.map(|_| at("renewalInfo")));
    let directory = format!("{{{}}}", addresses.join(","));
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(tcp).await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let found = |text: &str| {
            let length = text.len();
            format!("HTTP/1.1 200 OK\r\nretry-after: 21600\r\ncontent-length: {length}\r\n\r\n{text}")
        };
        let reply = match advice {
            _ if head.starts_with(b"GET /dir ") => found(&directory),
            Some(advice) if head.starts_with(b"GET /renewalInfo/") => {
                heard.advised.fetch_add(1, SeqCst);
                found(advice)
            }
            _ => {
                heard.turned_away.fetch_add(1, SeqCst);
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7200\r\ncontent-length: 0\r\n\r\n".into()
            }
        };
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

/// Who wants certificates for these hosts.
pub(crate) struct Hosts(pub(crate) &'static [&'static str]);

impl Front for Hosts {
    fn hosts(&self) -> BTreeSet<String> {
        self.0.iter().map(|host| (*host).to_string()).collect()
    }

    fn serve(&self, _certificates: Vec<Certificate>) {}
}

/// Waits for what happens on this thread and on the network.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

/// Runs a test on a thread of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
