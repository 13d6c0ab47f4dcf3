//! TLS with endpoints: what is spoken then, whom the router believes, what it shows, and how long it waits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use health::Health;
use http::Response;
use net::reach::Reach;
use net::tls::{
    Alpn, CertificateStore, Certificates, ClientAuth, ConnectConfig, Connector, ServerSettings, Strangers, Verify,
};
use router::access::Outcome;
use router::config::{CheckConfig, DnsConfig, UpstreamPolicy};
use router::standalone::{Alone, Check, Origin, Plan, UpstreamPlan};
use router::{EndpointSpec, UpstreamName};
use stdx::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::endpoint::Endpoint;
use crate::rig::{Proxy, eventually, proxy};
use crate::tls::Authority;

/// An endpoint with TLS. To each request it says which protocol it came by; a WebSocket's is the text `switched`.
struct Secure {
    addr: SocketAddr,
    /// What each connection agreed on, and how many certificates it was shown.
    seen: Arc<Mutex<Vec<(String, usize)>>>,
    _tasks: JoinSet<()>,
}

impl Secure {
    async fn new(authority: &Authority, alpn: &[&str], client_auth: ClientAuth) -> Secure {
        let files = [authority.write(&["a.example"])];
        let store: Arc<CertificateStore> =
            Certificates::open(&files, None, Strangers::First, stdx::clock::SystemClock::shared()).unwrap().store();
        let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let settings = ServerSettings { alpn, client_auth, ..ServerSettings::default() };
        let acceptor = TlsAcceptor::from(net::tls::server_config(store, &settings).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    // A client that does not believe the certificate is the test's affair.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &seen).await;
                    }
                });
            }
        });
        Secure { addr, seen, _tasks: tasks }
    }

    fn seen(&self) -> Vec<(String, usize)> {
        self.seen.lock().unwrap().clone()
    }

    fn proxy(&self, tls: &ConnectConfig) -> Proxy {
        proxy().address(self.addr).reach(reach(tls))
    }
}

fn reach(tls: &ConnectConfig) -> Reach {
    Reach { tls: Some(Arc::new(Connector::new(tls).unwrap())), proxy_protocol: None }
}

async fn serve(mut stream: TlsStream<TcpStream>, seen: &Mutex<Vec<(String, usize)>>) {
    let session = stream.get_ref().1;
    let alpn = String::from_utf8_lossy(session.alpn_protocol().unwrap_or(b"none")).into_owned();
    let shown = session.peer_certificates().map_or(0, <[_]>::len);
    seen.lock().unwrap().push((alpn.clone(), shown));
    if alpn == "h2" {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            let mut sending = respond.send_response(Response::new(()), false).unwrap();
            sending.send_data(alpn.clone().into(), true).unwrap();
        }
        return;
    }
    let mut buffer = Vec::new();
    loop {
        let head_ends = |buffer: &[u8]| buffer.windows(4).position(|four| four == b"\r\n\r\n");
        while head_ends(&buffer).is_none() {
            if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
                return;
            }
        }
        let head: Vec<u8> = buffer.drain(..head_ends(&buffer).unwrap() + 4).collect();
        let head = String::from_utf8(head).unwrap();
        if head.contains("websocket") {
            let said = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nswitched";
            stream.write_all(said.as_bytes()).await.unwrap();
            return;
        }
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{alpn}", alpn.len());
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

/// Believes the authority, and asks for the name that its certificate is for.
fn believing(authority: &Authority) -> ConnectConfig {
    let (ca, server_name) = (Some(authority.file("ca.pem")), Some("a.example".into()));
    ConnectConfig { ca, server_name, ..ConnectConfig::default() }
}

#[tokio::test]
async fn the_endpoint_chooses_the_protocol_and_connections_are_used_again() {
    let authority = Authority::new();
    let cases: [(&[&str], &str); 4] =
        [(&["h2", "http/1.1"], "h2"), (&["http/1.1"], "http/1.1"), (&[], "none"), (&["h2"], "h2")];
    for (offers, spoken) in cases {
        let secure = Secure::new(&authority, offers, ClientAuth::None).await;
        let rig = secure.proxy(&believing(&authority)).config(|config| config.workers = 1).start();
        let mut client = rig.client().await;
        for _ in 0..5 {
            client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
            let reply = client.reply().await;
            assert_eq!((reply.status, reply.content.as_str()), (200, spoken), "{offers:?}");
        }
        assert_eq!(secure.seen(), [(spoken.to_string(), 0)], "one connection for all");
    }
}

#[tokio::test]
async fn what_is_not_to_be_offered_is_not() {
    let authority = Authority::new();
    let secure = Secure::new(&authority, &["h2", "http/1.1"], ClientAuth::None).await;
    let old = ConnectConfig { protocols: vec![Alpn::Http1], ..believing(&authority) };
    assert_eq!(secure.proxy(&old).start().get("/").await.content, "http/1.1");
}

#[tokio::test]
async fn requests_at_once_share_the_first_connection_or_have_each_their_own() {
    let authority = Authority::new();
    for (offers, least, most) in [("h2", 1, 1), ("http/1.1", 1, 20)] {
        let secure = Secure::new(&authority, &[offers], ClientAuth::None).await;
        let rig = Arc::new(secure.proxy(&believing(&authority)).config(|config| config.workers = 1).start());
        let mut asked = JoinSet::new();
        for _ in 0..20 {
            let rig = Arc::clone(&rig);
            asked.spawn(async move { rig.get("/").await.status });
        }
        assert_eq!(asked.join_all().await, [200; 20]);
        let connections = secure.seen().len();
        assert!((least..=most).contains(&connections), "{offers}: {connections}");
    }
}

#[tokio::test]
async fn a_websocket_goes_by_a_connection_of_its_own_where_others_share_theirs() {
    let authority = Authority::new();
    let secure = Secure::new(&authority, &["h2", "http/1.1"], ClientAuth::None).await;
    let rig = secure.proxy(&believing(&authority)).config(|config| config.workers = 1).start();
    assert_eq!(rig.get("/").await.content, "h2");
    let mut client = rig.client().await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        )
        .await;
    let mut said = String::new();
    client.stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 101 ") && said.ends_with("\r\n\r\nswitched"), "{said}");
    assert_eq!(secure.seen(), [("h2".into(), 0), ("http/1.1".into(), 0)]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_believed_gets_no_request() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let secure = Secure::new(&authority, &["http/1.1"], ClientAuth::None).await;
    let elsewhere = ConnectConfig { server_name: Some("b.example".into()), ..believing(&authority) };
    let by_address = ConnectConfig { server_name: None, ..believing(&authority) };
    let unknown = ConnectConfig { ca: Some(stranger.file("ca.pem")), ..believing(&authority) };
    for tls in [elsewhere, by_address, unknown] {
        let rig = secure.proxy(&tls).policy(|policy| policy.hold_ms = 20).start();
        assert_eq!(rig.get("/").await.status, 503);
        assert_eq!(rig.record().await.tries[0].outcome, Outcome::Refused);
    }
    let anyone = ConnectConfig { verify: Verify::Nothing, ..ConnectConfig::default() };
    assert_eq!(secure.proxy(&anyone).start().get("/").await.status, 200);
    assert_eq!(secure.seen().len(), 1);
}

#[tokio::test]
async fn a_certificate_is_shown_and_taken_anew_when_its_file_changes() {
    let authority = Authority::new();
    let ca = std::fs::read(authority.file("ca.pem")).unwrap();
    let secure = Secure::new(&authority, &["h2"], ClientAuth::Required(ca)).await;
    let shown = authority.write(&["router"]);
    let bare = secure.proxy(&believing(&authority)).policy(|policy| policy.hold_ms = 20).start();
    assert_eq!(bare.get("/").await.status, 502, "the endpoint says so after the handshake");
    let tls = ConnectConfig { certificate: Some(shown.clone()), ..believing(&authority) };
    let reach = reach(&tls);
    let rig = proxy().address(secure.addr).reach(reach.clone()).start();
    assert_eq!(rig.get("/").await.status, 200);
    assert_eq!(secure.seen(), [("h2".into(), 1)]);
    let connector = reach.tls.unwrap();
    assert!(!connector.refresh().unwrap());
    std::fs::write(&shown.cert, "no certificate").unwrap();
    assert_eq!(connector.refresh().unwrap_err().code(), "tls_pem_malformed");
    authority.write(&["router"]);
    assert!(connector.refresh().unwrap());
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = ConnectConfig { verify: Verify::Nothing, ..ConnectConfig::default() };
    let rig = proxy()
        .address(silent.local_addr().unwrap())
        .reach(reach(&tls))
        .config(|config| (config.connect_timeout_ms, config.endpoint_handshakes_max) = (50, 1))
        .policy(|policy| policy.hold_ms = 20)
        .start();
    // The second waits for the first one's place, within its own time.
    let replies = tokio::join!(rig.get("/"), rig.get("/"));
    assert_eq!((replies.0.status, replies.1.status), (503, 503));
    assert!(rig.records(2).await.iter().all(|record| record.tries[0].outcome == Outcome::ConnectTimeout));
}

#[tokio::test]
async fn another_upstream_s_connections_to_the_same_address_are_not_taken() {
    let authority = Authority::new();
    let secure = Secure::new(&authority, &["http/1.1"], ClientAuth::None).await;
    let rig = secure
        .proxy(&believing(&authority))
        .policy(|policy| policy.hold_ms = 20)
        .config(|config| config.workers = 1)
        .start();
    assert_eq!(rig.get("/").await.status, 200);
    // The same routing with a connector that believes nobody.
    let stranger = Authority::new();
    let unknown = ConnectConfig { ca: Some(stranger.file("ca.pem")), ..believing(&authority) };
    let mut routing = (**rig.source_routing().borrow()).clone();
    routing.upstreams[0].reach = reach(&unknown);
    rig.source.replace(routing);
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.status, 503);
}

#[tokio::test]
async fn checks_come_by_the_same_way_as_requests() {
    let (authority, plain) = (Authority::new(), Endpoint::saying("ok").await);
    let secure = Secure::new(&authority, &["h2", "http/1.1"], ClientAuth::None).await;
    let name = UpstreamName::new("web");
    let check = CheckConfig { path: Some("/up".into()), interval_ms: 20, rise: 1, fall: 1, ..CheckConfig::default() };
    let upstream = UpstreamPlan {
        name: name.clone(),
        origin: Origin::Fixed(vec![secure.addr, plain.addr]),
        check: Some(Check::new(check)),
        policy: UpstreamPolicy::default(),
        reach: reach(&believing(&authority)),
    };
    let plan = Plan { routes: Vec::new(), upstreams: vec![upstream] };
    let alone = Alone::new(plan, DnsConfig::default(), None, SystemClock::shared()).unwrap();
    let (health, rig) = (alone.health(), proxy().start());
    let _driving = alone.drive(rig.handle.clone());
    let verdict = |addr| health.verdict(&name, &EndpointSpec::at(addr)).map(|verdict| verdict.health);
    eventually(|| verdict(secure.addr) == Some(Health::Healthy) && verdict(plain.addr) == Some(Health::Unhealthy))
        .await;
    assert_eq!(secure.seen()[0].0, "h2");
}
