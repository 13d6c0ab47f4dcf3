//! Many requests for what is not kept yet are one request to the application, and none of them is in another's way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cache::caching;
use crate::rig::{Client, Rig, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

/// An origin that answers with much content, as far as the test allows.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    allowed: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

impl Origin {
    /// One that says how long its content is.
    pub(crate) async fn of(bytes: usize) -> Origin {
        let fields = format!("cache-control: max-age=60\r\ncontent-length: {bytes}");
        Origin::with(fields, bytes).await
    }

    /// One that ends its content with the connection.
    async fn endless(bytes: usize) -> Origin {
        Origin::with(String::from("cache-control: max-age=60\r\nconnection: close"), bytes).await
    }

    async fn with(fields: String, bytes: usize) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (allowed, gate) = watch::channel(0);
        let (count, mut tasks) = (Arc::clone(&asked), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(
                    stream,
                    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"),
                    bytes,
                    gate.clone(),
                    Arc::clone(&count),
                ));
            }
        });
        Origin { addr, asked, allowed, _tasks: tasks }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// So many bytes of its content may be sent.
    pub(crate) fn allow(&self, bytes: usize) {
        self.allowed.send_replace(bytes);
    }
}

async fn serve(
    mut stream: TcpStream,
    head: String,
    bytes: usize,
    mut gate: watch::Receiver<usize>,
    asked: Arc<AtomicUsize>,
) {
    let (mut buffer, piece) = ([0; 4096], vec![b'x'; 64 << 10]);
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        asked.fetch_add(1, SeqCst);
        let mut sent = 0;
        while sent < bytes {
            let allowed = (*gate.wait_for(|allowed| *allowed > sent).await.unwrap()).min(bytes);
            if sent == 0 && stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            let now = piece.len().min(allowed - sent);
            if stream.write_all(&piece[..now]).await.is_err() {
                return;
            }
            sent += now;
        }
        if head.contains("connection: close") {
            return;
        }
    }
}

/// A client that has asked and reads nothing yet; its side of the connection holds little.
async fn lazy(rig: &Rig) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Client::on(socket.connect(rig.addr).await.unwrap());
    client.send(GET).await;
    client
}

async fn asking(rig: &Rig, fields: &str) -> Client {
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
    client
}

#[tokio::test]
async fn a_thousand_clients_and_one_request() {
    const BYTES: usize = 256 << 10;
    let a = Origin::of(BYTES).await;
    let rig = Arc::new(caching().address(a.addr).start());
    // The first reads nothing of what it asked for, the second goes away.
    let mut slow = lazy(&rig).await;
    let gone = asking(&rig, "").await;
    let mut clients = JoinSet::new();
    for _ in 0..1_000 {
        let rig = Arc::clone(&rig);
        clients.spawn(async move { rig.get("/").await });
    }
    eventually(|| rig.handle.counts().connections == 1_002).await;
    drop(gone);
    a.allow(BYTES);
    let mut collapsed = 0;
    while let Some(reply) = clients.join_next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.content.len(), reply.cut), (200, BYTES, false));
        collapsed += usize::from(reply.one("cache-status").ends_with("; collapsed"));
    }
    assert_eq!(a.asked(), 1);
    assert!(collapsed > 500, "{collapsed}");
    assert_eq!(slow.reply().await.content.len(), BYTES);
}

#[tokio::test]
async fn a_first_client_that_reads_nothing_slows_nobody_for_whom_it_was_fetched() {
    // More than sockets hold.
    const BYTES: usize = 7 << 20;
    let a = Origin::of(BYTES).await;
    let rig = caching().address(a.addr).start();
    let mut slow = lazy(&rig).await;
    eventually(|| a.asked() == 1).await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(asking(&rig, "").await);
    }
    eventually(|| rig.handle.counts().connections == 9).await;
    a.allow(BYTES);
    for other in &mut others {
        let reply = other.reply().await;
        assert_eq!((reply.status, reply.content.len(), reply.cut), (200, BYTES, false));
    }
    // All of it is kept, though who caused it has read nothing.
    let hit = rig.get("/").await;
    assert!(hit.one("cache-status").starts_with("forebay; hit"), "{}", hit.head);
    let first = slow.reply().await;
    assert_eq!((first.content.len(), first.cut, a.asked()), (BYTES, false, 1));
}

#[tokio::test]
async fn of_what_is_too_long_to_keep_the_fastest_sets_the_pace() {
    // Sockets hold less than what a reader may be behind, and that is less than this.
    const BYTES: usize = 40 << 20;
    let a = Origin::endless(BYTES).await;
    let rig = caching().address(a.addr).start();
    let mut slow = lazy(&rig).await;
    eventually(|| a.asked() == 1).await;
    let mut fast = asking(&rig, "").await;
    eventually(|| rig.handle.counts().connections == 2).await;
    a.allow(BYTES);
    let reply = fast.reply().await;
    assert_eq!((reply.status, reply.content.len(), reply.cut), (200, BYTES, false));
    let cut_off = slow.reply().await;
    assert!(cut_off.cut && cut_off.content.len() < BYTES, "{} bytes", cut_off.content.len());
    assert_eq!(a.asked(), 1);
    // From now on nobody is in another's way.
    let mut slow = lazy(&rig).await;
    eventually(|| a.asked() == 2).await;
    let alone = rig.get("/").await;
    assert_eq!((alone.one("cache-status"), alone.content.len(), alone.cut), ("forebay; fwd=uri-miss", BYTES, false));
    let first = slow.reply().await;
    assert_eq!((first.content.len(), first.cut, a.asked()), (BYTES, false, 3));
}

#[tokio::test]
async fn the_others_get_it_when_the_first_leaves_before_the_head_or_in_the_middle() {
    const BYTES: usize = 1 << 20;
    for before in [0, BYTES / 2] {
        let a = Origin::of(BYTES).await;
        let rig = caching().address(a.addr).start();
        let first = asking(&rig, "").await;
        eventually(|| a.asked() == 1).await;
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(asking(&rig, "").await);
        }
        eventually(|| rig.handle.counts().connections == 6).await;
        a.allow(before);
        if before > 0 {
            first.stream.readable().await.unwrap();
        }
        drop(first);
        eventually(|| rig.handle.counts().connections == 5).await;
        a.allow(BYTES);
        for other in &mut others {
            let reply = other.reply().await;
            assert_eq!((reply.status, reply.content.len(), reply.cut), (200, BYTES, false));
        }
        assert_eq!(a.asked(), 1);
    }
}

#[tokio::test]
async fn a_fetch_survives_the_client_that_caused_it() {
    let a = Origin::of(1_000).await;
    let rig = caching().address(a.addr).start();
    let first = asking(&rig, "").await;
    eventually(|| a.asked() == 1).await;
    drop(first);
    eventually(|| rig.handle.counts().connections == 0).await;
    a.allow(1_000);
    eventually(|| rig.handle.in_flight(a.addr) == 0).await;
    let hit = rig.get("/").await;
    assert_eq!((hit.content.len(), a.asked()), (1_000, 1));
    assert!(hit.one("cache-status").contains("; hit"), "{}", hit.head);
}

#[tokio::test]
async fn who_has_less_time_gives_up_alone() {
    for (times, lasting) in [(["", "forebay-deadline: 60\r\n"], 0), (["forebay-deadline: 60\r\n", ""], 1)] {
        let a = Origin::of(1_000).await;
        let rig = caching().address(a.addr).start();
        let mut clients = vec![asking(&rig, times[0]).await];
        eventually(|| a.asked() == 1).await;
        clients.push(asking(&rig, times[1]).await);
        assert_eq!(clients[1 - lasting].reply().await.status, 504, "{times:?}");
        a.allow(1_000);
        let reply = clients[lasting].reply().await;
        assert_eq!((reply.status, reply.content.len(), a.asked()), (200, 1_000, 1), "{times:?}");
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_its_deadline() {
    let a = Origin::of(1_000).await;
    let rig = caching().policy(|policy| policy.deadline_ms = 100).address(a.addr).start();
    let (mut first, mut second) = (asking(&rig, "").await, asking(&rig, "").await);
    assert_eq!((first.reply().await.status, second.reply().await.status), (504, 504));
}
