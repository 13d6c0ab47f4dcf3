//! Any bytes to a router: whatever it lets through is one request to the endpoint too, and beyond doubt.
//!
//! A whole router, because what is in question is whether all of its parts read the same bytes in the same way.
#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use net::reach::Reach;
use router::access::Discard;
use router::config::{Config, RoutePolicy, UpstreamPolicy};
use router::standalone::StaticSource;
use router::{Deps, EndpointSpec, Handle, RouteSpec, Routing, UpstreamName, UpstreamSpec};
use stdx::clock::SystemClock;
use testkit::strict;

/// A sound request behind the bytes: at its end the router closes the connection.
const END: &[u8] = b"GET /end HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
const HEADS_END: &[u8] = b"\r\n\r\n";

struct Rig {
    router: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _handle: Handle,
}

fuzz_target!(|bytes: &[u8]| {
    static RIG: OnceLock<Rig> = OnceLock::new();
    let rig = RIG.get_or_init(start);
    let said = exchange(rig.router, bytes);
    let answers = said.windows(8).filter(|window| window == b"x-fuzz: ").count();
    let heads = std::mem::take(&mut *rig.heads.lock().unwrap());
    for head in &heads {
        assert_eq!(strict::doubt(head), None, "{head:?}");
    }
    assert_eq!(heads.len(), answers, "{heads:#?} and {:?}", String::from_utf8_lossy(&said));
});

fn exchange(router: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(router).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A router that refuses may close before all is written.
    drop(stream.write_all(&[bytes, END].concat()));
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    assert!(end.is_ok() || !said.is_empty(), "{end:?}");
    said
}

fn start() -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || serve(&stream, &seen));
        }
    });
    // What waits for more than was sent is not waited for, and nobody is believed who says that a request has no time left.
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        header_timeout_ms: 5,
        body_timeout_ms: 5,
        idle_timeout_ms: 5,
        trusted_peers: Vec::new(),
        ..Config::default()
    };
    let source = Arc::new(StaticSource::new(routing(endpoint)));
    let handle = router::start(config, Deps::new(source, Arc::new(Discard), SystemClock::shared())).unwrap();
    Rig { router: handle.bound()[0], heads, _handle: handle }
}

fn routing(endpoint: SocketAddr) -> Routing {
    let upstream = UpstreamName::new("shop");
    let route = RouteSpec {
        name: "shop".into(),
        host: None,
        path_prefix: "/".into(),
        upstream: upstream.clone(),
        fallback: None,
        primary: None,
        scope: None,
        policy: RoutePolicy { retries_max: 0, ..RoutePolicy::default() },
    };
    let endpoints = vec![EndpointSpec::at(endpoint)];
    let upstreams = vec![UpstreamSpec { name: upstream, endpoints, policy: UpstreamPolicy::default(), reach: Reach::default() }];
    Routing { routes: vec![route], upstreams }
}

/// Reads requests as strictly as can be, and answers each.
fn serve(mut stream: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = until(&mut stream, &mut buffer, HEADS_END)?;
        // Values may hold bytes that are no text.
        let head = String::from_utf8_lossy(&buffer.drain(..end).collect::<Vec<u8>>()).into_owned();
        let field = |name: &str| {
            let of = |line: &&str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
            head.lines().find(of).map(|line| line[name.len()..].to_owned())
        };
        if let Some(length) = field("content-length: ") {
            let length: usize = length.parse().expect("a length is a number");
            while buffer.len() < length {
                more(&mut stream, &mut buffer)?;
            }
            buffer.drain(..length);
        } else if field("transfer-encoding: ").is_some() {
            chunks(&mut stream, &mut buffer)?;
        }
        let content = if head.starts_with("HEAD ") { "" } else { "ok" };
        seen.lock().unwrap().push(head);
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nx-fuzz: 1\r\ncontent-length: 2\r\n\r\n{content}").as_bytes())
            .ok()?;
    }
}

fn chunks(stream: &mut &TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    loop {
        let end = until(stream, buffer, b"\r\n")?;
        let line: Vec<u8> = buffer.drain(..end).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).expect("a chunk's size");
        if size == 0 {
            let mut line = until(stream, buffer, b"\r\n")?;
            while line > 2 {
                buffer.drain(..line);
                line = until(stream, buffer, b"\r\n")?;
            }
            buffer.drain(..2);
            return Some(());
        }
        while buffer.len() < size + 2 {
            more(stream, buffer)?;
        }
        assert_eq!(&buffer[size..size + 2], b"\r\n");
        buffer.drain(..size + 2);
    }
}

/// Reads until `what` is there; where it ends.
fn until(stream: &mut &TcpStream, buffer: &mut Vec<u8>, what: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(what.len()).position(|window| window == what) {
            return Some(at + what.len());
        }
        more(stream, buffer)?;
    }
}

fn more(stream: &mut &TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 4096];
    let bytes = stream.read(&mut piece).ok().filter(|bytes| *bytes > 0)?;
    buffer.extend_from_slice(&piece[..bytes]);
    Some(())
}
