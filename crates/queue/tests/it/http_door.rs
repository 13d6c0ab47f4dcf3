//! The HTTP door of applications: whom it lets in, and that it is bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use queue::config::Config;
use queue::{Handle, NoSink, StartError, TokenSource};
use stdx::ids::Scope;

use crate::rig::{Http, config, deps_with, hear};

/// `token-shop` opens shop.
struct Tokens;

impl TokenSource for Tokens {
    fn namespace(&self, token: &str) -> Option<Scope> {
        token.strip_prefix("token-")?.parse().ok()
    }
}

fn start(config: Config) -> (tempfile::TempDir, Handle) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { http_listen: vec!["127.0.0.1:0".parse().unwrap()], ..config };
    let handle =
        queue::start(config, folder.path().join("queue"), deps_with(Arc::new(Tokens), Arc::new(NoSink))).unwrap();
    (folder, handle)
}

fn door(handle: &Handle, token: Option<&str>) -> Http {
    let fields = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    Http { addr: handle.http_bound()[0], fields }
}

#[test]
fn an_application_sees_its_own_tubes_and_nothing_else() {
    let (_folder, handle) = start(config());
    let (shop, blog, shared) =
        (door(&handle, Some("token-shop")), door(&handle, Some("token-blog")), door(&handle, None));
    assert_eq!((shop.put("mail", "letter"), shared.put("mail", "card")), (1, 2));
    assert_eq!(blog.get("/v1/queue/jobs/1").is(404).code(), "no_such_job");
    assert!(blog.reserve("mail", 0, 1).is_empty());
    assert_eq!(shop.reserve("mail", 0, 5).len(), 1);
    let names = |http: &Http| http.get("/v1/queue/tubes").json()["items"].as_array().unwrap().len();
    assert_eq!((names(&shop), names(&blog)), (2, 1), "default, and mail where it has a job");
    assert_eq!(shop.get("/v1/queue/tubes?app=blog").is(400).code(), "request_malformed");
    assert_eq!(shop.get("/v1/queue/status").is(404).code(), "no_such_endpoint");
    assert_eq!(shop.get("/v1/queues").is(404).code(), "no_such_endpoint");
    let admin = Http::admin(&handle);
    assert_eq!(admin.get("/v1/queue/jobs/1?app=shop").json()["state"], "reserved");
}

#[test]
fn who_has_no_right_token_or_comes_from_a_web_page_is_refused() {
    let (_folder, handle) = start(config());
    assert_eq!(door(&handle, Some("wrong")).get("/v1/queue/tubes").is(401).code(), "queue_token_wrong");
    let basic = Http { fields: "Authorization: Basic dG9rZW4tc2hvcA==\r\n".into(), ..door(&handle, None) };
    basic.get("/v1/queue/tubes").is(401);
    let page = Http { fields: "Origin: https://example.org\r\n".into(), ..door(&handle, Some("token-shop")) };
    assert_eq!(page.post("/v1/queue/tubes/mail/jobs", "x").is(403).code(), "browser_refused");
    let mut rebound = TcpStream::connect(handle.http_bound()[0]).unwrap();
    rebound.write_all(b"GET /v1/queue/tubes HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(hear(rebound).is(403).code(), "browser_refused");
}

#[test]
fn connections_and_bodies_are_bounded() {
    let (_folder, handle) = start(Config { http_connections_max: 2, http_input_bytes_max: 1_000, ..config() });
    let door = door(&handle, None);
    assert_eq!(door.post("/v1/queue/tubes/mail/jobs", &"x".repeat(1_001)).is(503).code(), "too_many_bodies");
    let ask = br#"{"tubes": ["mail"], "wait_s": 60}"#;
    let (first, second) =
        (door.begin("POST", "/v1/queue/reserve", "", ask), door.begin("POST", "/v1/queue/reserve", "", ask));
    let admin = Http::admin(&handle);
    while admin.get("/v1/queue/tubes/mail").body.contains("\"waiting\":2").eq(&false) {}
    let third = hear(TcpStream::connect(door.addr).unwrap());
    assert_eq!((third.status, third.field("retry-after")), (503, Some("1")));
    drop((first, second));
    while admin.get("/v1/queue/tubes").body.contains("\"waiting\":1") {}
}

#[test]
fn a_stopped_queue_closes_its_door() {
    let (folder, handle) = start(config());
    let addr = handle.http_bound()[0];
    let waiting = door(&handle, None).begin("POST", "/v1/queue/reserve", "", br#"{"tubes": ["a"], "wait_s": 60}"#);
    crate::rig::block_on(handle.stop());
    let mut rest = Vec::new();
    let mut waiting = waiting;
    waiting.read_to_end(&mut rest).unwrap_or_default();
    assert!(TcpStream::connect(addr).is_err());
    drop(queue::start(config(), folder.path().join("queue"), crate::rig::deps()).unwrap());
}

#[test]
fn it_is_not_for_other_machines() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { http_listen: vec!["0.0.0.0:0".parse().unwrap()], ..config() };
    let refused = queue::start(config, folder.path().join("queue"), crate::rig::deps());
    assert!(matches!(refused, Err(StartError::Exposed(_))));
}
