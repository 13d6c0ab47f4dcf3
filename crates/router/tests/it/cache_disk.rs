//! The cache's disk, over real sockets: a memory that has room for little.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use control::metrics::Exposition;
use control::wire::router::PurgeRequest;
use router::config::CacheConfig;

use crate::endpoint::{Act, Endpoint, Received};
use crate::rig::{Proxy, Rig, eventually, proxy};

/// Memory has room for two answers or three.
const MEMORY_BYTES: u64 = 24 << 10;
const CONTENT_BYTES: usize = 8 << 10;

fn caching(data: &Path) -> Proxy {
    proxy().data(data).policy(|policy| policy.cache = Some(CacheConfig::default())).config(|config| {
        config.cache_bytes_max = MEMORY_BYTES;
        config.cache_disk_bytes_max = 1 << 20;
    })
}

/// Numbers its answers.
async fn counting(fields: &'static str) -> Endpoint {
    let count = AtomicUsize::new(0);
    Endpoint::new(move |received: &Received| {
        let language = received.all("accept-language").concat();
        let content = format!("{:<CONTENT_BYTES$}", format!("answer {} {language}", count.fetch_add(1, SeqCst)));
        let length = content.len();
        Act::Reply(format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{content}").into_bytes())
    })
    .await
}

const FRESH: &str = "cache-control: max-age=60\r\nsurrogate-key: all";

fn figure(rig: &Rig, name: &str) -> u64 {
    let mut page = Exposition::default();
    rig.handle.metrics(&mut page);
    let page = page.into_text();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("forebay_router_cache_disk_{name} ")));
    line.unwrap().parse().unwrap()
}

fn files(data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(data.join("cache")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().len() == 32).collect()
}

/// Ready to take what leaves memory: it has the folder, and knows it.
async fn ready(data: &Path, rig: &Rig) {
    eventually(|| data.join("cache/LOCK").exists()).await;
    rig.handle.purge(&PurgeRequest { urls: vec!["/none".into()], ..PurgeRequest::default() }).unwrap();
    rig.handle.purge_settled().await.unwrap();
}

/// Asks for much else, until the disk has what memory had.
async fn push_out(data: &Path, rig: &Rig, count: usize) {
    for number in 0..4 {
        rig.get(&format!("/filler/{number}")).await;
    }
    eventually(|| files(data).len() >= count).await;
    eventually(|| figure(rig, "entries") as usize == files(data).len()).await;
}

async fn end(rig: Rig) {
    assert!(rig.handle.drain(Duration::from_secs(10)).await);
    drop(rig);
}

#[tokio::test]
async fn what_memory_had_no_room_for_is_a_hit_and_outlasts_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting(FRESH).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    let first = rig.get("/page").await;
    push_out(dir.path(), &rig, 2).await;
    let asked = a.requests().len();
    let again = rig.get("/page").await;
    assert_eq!((again.status, &again.content), (200, &first.content));
    assert!(again.one("cache-status").starts_with("forebay; hit; ttl="), "{}", again.head);
    assert!(again.one("cache-status").ends_with("; detail=DISK"), "{}", again.head);
    assert!(!rig.get("/page").await.one("cache-status").contains("DISK"), "it is in memory again");
    assert_eq!((a.requests().len(), figure(&rig, "hits_total")), (asked, 1));
    end(rig).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    let part = rig.send("GET /page HTTP/1.1\r\nhost: shop\r\nrange: bytes=0-7\r\n\r\n").await;
    assert_eq!((part.status, part.content.as_str()), (206, "answer 0"));
    assert_eq!(a.requests().len(), asked);
}

#[tokio::test]
async fn variants_find_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting("cache-control: max-age=60\r\nvary: accept-language").await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    let ask = async |language: &str| {
        rig.send(format!("GET / HTTP/1.1\r\nhost: shop\r\naccept-language: {language}\r\n\r\n")).await
    };
    let first = [ask("de").await.content, ask("en").await.content];
    push_out(dir.path(), &rig, 4).await;
    let asked = a.requests().len();
    assert_eq!([ask("de").await.content, ask("en").await.content], first);
    assert_eq!(a.requests().len(), asked);
    ask("fr").await;
    assert_eq!(a.requests().len(), asked + 1);
}

#[tokio::test]
async fn what_is_purged_or_written_to_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting(FRESH).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    let first = rig.get("/page").await.content;
    push_out(dir.path(), &rig, 2).await;
    rig.send("DELETE /page HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let second = rig.get("/page").await.content;
    assert_ne!(second, first);
    push_out(dir.path(), &rig, 2).await;
    let report = rig.handle.purge(&PurgeRequest { keys: vec!["all".into()], ..PurgeRequest::default() }).unwrap();
    assert!(report.answers >= 4, "{report:?}");
    rig.handle.purge_settled().await.unwrap();
    assert!(files(dir.path()).is_empty());
    end(rig).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    let third = rig.get("/page").await.content;
    assert!(third != first && third != second);
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting(FRESH).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    rig.get("/page").await;
    push_out(dir.path(), &rig, 2).await;
    // Nobody ever writes into these.
    for file in files(dir.path()) {
        std::fs::remove_file(&file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    }
    let asked = a.requests().len();
    let reply = rig.get("/page").await;
    assert_eq!((reply.status, a.requests().len()), (200, asked + 1));
    assert_eq!(figure(&rig, "slow_total"), 1);
}

#[tokio::test]
async fn a_damaged_file_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting(FRESH).await;
    let rig = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &rig).await;
    rig.get("/page").await;
    push_out(dir.path(), &rig, 2).await;
    for file in files(dir.path()) {
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let asked = a.requests().len();
    assert_eq!(rig.get("/page").await.status, 200);
    assert_eq!((a.requests().len(), figure(&rig, "errors_total"), figure(&rig, "hits_total")), (asked + 1, 1, 0));
}

#[tokio::test]
async fn two_processes_do_not_share_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let a = counting(FRESH).await;
    let old = caching(dir.path()).endpoint(&a).start();
    ready(dir.path(), &old).await;
    old.get("/page").await;
    push_out(dir.path(), &old, 2).await;
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(dir.path().join("cache"), other.path().join("cache")).unwrap();
    let new = caching(other.path()).endpoint(&a).start();
    new.get("/page").await;
    assert_eq!(figure(&new, "entries"), 0);
    end(old).await;
    eventually(|| figure(&new, "entries") > 0).await;
}

#[tokio::test]
async fn without_a_folder_it_does_not_start() {
    let config = router::config::Config { cache_disk_bytes_max: 1, ..Default::default() };
    let source = std::sync::Arc::new(router::standalone::StaticSource::new(router::Routing::default()));
    let sink = std::sync::Arc::new(router::access::Discard);
    let deps = router::Deps::new(source, sink, stdx::clock::SystemClock::shared());
    assert_eq!(router::start(config, deps).unwrap_err().code(), "router_cache_nowhere");
}
