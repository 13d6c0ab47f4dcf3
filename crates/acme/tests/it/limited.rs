//! What becomes of orders when the authority says that there were too many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use acme::{AcmeConfig, Desk, Front};
use net::tls::{Certificate, CertificateStore, ServerSettings, server_config};
use testkit::FakeClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

const HOUR: Duration = Duration::from_secs(3_600);

/// Tells its addresses, and turns all else away for two hours; counts those that it has turned away.
async fn authority(listener: TcpListener, tls: TlsAcceptor, turned_away: Arc<AtomicU32>) {
    let port = listener.local_addr().unwrap().port();
    let at = |name: &str| format!("\"{name}\":\"https://localhost:{port}/{name}\"");
    let directory = format!("{{{},{},{}}}", at("newNonce"), at("newAccount"), at("newOrder"));
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(tcp).await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let reply = if head.starts_with(b"GET /dir ") {
            let length = directory.len();
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{directory}")
        } else {
            turned_away.fetch_add(1, SeqCst);
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7200\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n"
                .into()
        };
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

struct Hosts;

impl Front for Hosts {
    fn hosts(&self) -> BTreeSet<String> {
        ["a.example", "b.example", "c.example"].map(String::from).into()
    }

    fn serve(&self, certificates: Vec<Certificate>) {
        assert!(certificates.is_empty());
    }
}

/// Waits for what happens on this thread and on the network.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

#[test]
fn a_limit_holds_for_all_hosts_for_as_long_as_the_authority_asks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, own.cert.pem()).unwrap();
        let own = Certificate::from_pem("own", own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes());
        let store = Arc::new(CertificateStore::new(&[own.unwrap()]).unwrap());
        let tls = TlsAcceptor::from(server_config(store, &ServerSettings::default()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = AcmeConfig {
            directory: format!("https://localhost:{}/dir", listener.local_addr().unwrap().port()),
            terms_agreed: true,
            ca_file: Some(ca_file),
            orders_max: 1,
            ..AcmeConfig::default()
        };
        let turned_away = Arc::new(AtomicU32::new(0));
        tokio::task::spawn_local(authority(listener, tls, Arc::clone(&turned_away)));
        let (clock, desk) = (FakeClock::new(), Arc::new(Desk::new().unwrap()));
        let run = |desk: &Arc<Desk>| {
            acme::run(config.clone(), folder.path(), Arc::clone(desk), Hosts, clock.shared()).unwrap()
        };
        let running = run(&desk);
        let failures = |desk: &Desk| desk.rows().iter().map(|row| row.failures).sum::<u32>();
        until("one host is refused", || failures(&desk) == 1).await;
        let until_ms = clock.shared().wall().millis() + 2 * 3_600_000;
        assert!(desk.rows().iter().all(|row| row.next_ms == Some(until_ms)), "{:?}", desk.rows());
        let told = desk.rows()[0].last_error.clone().unwrap();
        assert!(told.contains("429") || told.contains("nonce"), "{told}");
        drop(running);
        // A restart does not forget it.
        let desk = Arc::new(Desk::new().unwrap());
        let _running = run(&desk);
        until("it stands as before", || desk.rows().len() == 3).await;
        assert!(desk.rows().iter().all(|row| row.next_ms == Some(until_ms) && !row.is_ordering), "{:?}", desk.rows());
        assert_eq!(turned_away.load(SeqCst), 1);
        clock.advance(2 * HOUR);
        until("the next is asked for", || turned_away.load(SeqCst) == 2).await;
    });
}
