//! The tier on a disk that fails as it is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_cache::{Evicted, Key, Options, Policy, Request, Response, Storing, UnixMs};
use proptest::prelude::*;
use stdx::clock::{Clock, Wall};
use testkit::{Call, FakeClock, FakeDisk};

use super::format::{self, Unread};
use super::scribe::Scribe;
use super::tier::{Means, Tier};
use crate::config::Config;

const FOLDER: &str = "/data/cache";

struct Rig {
    disk: FakeDisk,
    clock: FakeClock,
    tier: Arc<Tier>,
    scribe: Scribe<FakeDisk>,
}

impl Rig {
    fn new(bytes_max: u64) -> Rig {
        let disk = FakeDisk::new(7);
        stdx::io::Io::create_dir(&disk, Path::new(FOLDER)).unwrap();
        let clock = FakeClock::new();
        clock.set_wall(Wall::from_millis(1_700_000_000_000));
        Rig::on(disk, clock, bytes_max)
    }

    /// Looked through.
    fn on(disk: FakeDisk, clock: FakeClock, bytes_max: u64) -> Rig {
        let mut rig = Rig::begun(disk, clock, bytes_max);
        rig.turns();
        rig
    }

    fn begun(disk: FakeDisk, clock: FakeClock, bytes_max: u64) -> Rig {
        let config = Config { cache_disk_bytes_max: bytes_max, ..Config::default() };
        let tier = Arc::new(Tier::new(&config, Arc::new(clock.clone())));
        let scribe = Scribe::new(Arc::clone(&tier), disk.clone(), FOLDER.into());
        Rig { disk, clock, tier, scribe }
    }

    fn turns(&mut self) {
        (0..50).for_each(|_| self.scribe.turn());
    }

    fn restart(self, bytes_max: u64) -> Rig {
        self.disk.power_cut();
        Rig::on(self.disk, self.clock, bytes_max)
    }

    fn evict(&mut self, key: &str, fields: &[(&'static str, &str)], content: &[u8]) {
        self.tier.offer(evicted(key, fields, content, now(&self.clock)));
        self.turns();
    }

    fn has(&self, key: &str) -> bool {
        self.tier.lock().index.find(key, |_| true).is_some()
    }

    /// What a reader gets.
    fn read(&self, key: &str) -> Option<Vec<u8>> {
        let found = self.tier.lock().index.find(key, |_| true)?;
        let loaded = format::read(&self.disk, &path(&found.name.to_string()), key, 1 << 20).ok()?;
        Some(loaded.chunks.concat())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.disk.paths()
    }

    fn is_settled(&self) -> bool {
        *self.tier.settled.borrow() == self.tier.lock().purges
    }
}

fn now(clock: &FakeClock) -> UnixMs {
    UnixMs(clock.wall().millis())
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn evicted(key: &str, fields: &[(&'static str, &str)], content: &[u8], at: UnixMs) -> Evicted<Arc<[Bytes]>> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let none = HeaderMap::new();
    let request = Request { method: &Method::GET, scheme: "http", authority: "a", target: "/", headers: &none };
    let response = Response { status: StatusCode::OK, headers: &headers };
    let Storing::Store(mut stored) = Policy::new(Options::default()).on_response(&request, &response, at, at) else {
        panic!("it is not kept");
    };
    stored.set_body_bytes(content.len() as u64);
    let body = content.chunks(100).map(Bytes::copy_from_slice).collect();
    Evicted { key: key.into(), stored: Arc::from(stored), body }
}

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("surrogate-key", "one two")];

fn by_tag(tag: &'static str) -> Means {
    Arc::new(move |_, tags| tags.iter().any(|known| **known == *tag))
}

#[test]
fn what_leaves_memory_is_there_after_a_restart() {
    let mut rig = Rig::new(1 << 20);
    rig.evict("a", FRESH, b"content");
    rig.evict("stale", &[("cache-control", "max-age=0"), ("etag", "\"v\"")], b"");
    assert_eq!((rig.read("a").as_deref(), rig.files().len()), (Some(&b"content"[..]), 1));
    // Nothing was synced, but here nothing is lost either.
    let rig = Rig::on(rig.disk, rig.clock, 1 << 20);
    assert_eq!(rig.read("a").as_deref(), Some(&b"content"[..]));
    rig.clock.advance(Duration::from_secs(61));
    let rig = Rig::on(rig.disk, rig.clock, 1 << 20);
    assert!(!rig.has("a") && rig.files().is_empty(), "of no more use");
}

#[test]
fn bytes_are_bounded_and_the_oldest_go() {
    let mut rig = Rig::new(5 * 4096);
    for number in 0..20 {
        rig.evict(&format!("key {number}"), FRESH, &[number; 3000]);
        rig.clock.advance(Duration::from_millis(1));
        assert!(rig.files().len() <= 5);
    }
    assert!((0..15).all(|number| !rig.has(&format!("key {number}"))));
    assert!((15..20).all(|number| rig.read(&format!("key {number}")) == Some(vec![number; 3000])));
    rig.evict("large", FRESH, &[0; 5 * 4096]);
    assert!(!rig.has("large") && rig.has("key 19"));
    let rig = Rig::on(rig.disk, rig.clock, 2 * 4096);
    assert!(rig.has("key 19") && rig.has("key 18") && !rig.has("key 17"));
}

#[test]
fn a_purge_outlasts_a_power_cut() {
    let mut rig = Rig::new(1 << 20);
    rig.evict("a", FRESH, b"a");
    rig.evict("b", &[("cache-control", "max-age=60"), ("cache-tag", "three")], b"b");
    stdx::io::Io::sync_dir(&rig.disk, Path::new(FOLDER)).unwrap();
    assert_eq!(rig.tier.purge(&by_tag("two"), |_, _| true), 1);
    assert!(!rig.has("a") && !rig.is_settled(), "it is not found from now on");
    rig.turns();
    assert!(rig.is_settled());
    let rig = rig.restart(1 << 20);
    assert!(!rig.has("a"));
}

#[test]
fn a_purge_that_cannot_last_is_not_said_to() {
    let mut rig = Rig::new(1 << 20);
    rig.evict("a", FRESH, b"a");
    rig.disk.fail(Call::SyncDir, 1);
    rig.tier.purge(&by_tag("one"), |_, _| true);
    rig.scribe.turn();
    assert!(!rig.is_settled());
    rig.turns();
    assert!(rig.is_settled());
}

#[test]
fn what_is_purged_before_the_folder_is_known_is_not_taken_in() {
    let mut rig = Rig::new(1 << 20);
    for key in ["a", "b", "c"] {
        rig.evict(key, &[("cache-control", "max-age=60"), ("cache-tag", key)], b"content");
    }
    let mut rig = Rig::begun(rig.disk, rig.clock, 1 << 20);
    rig.tier.purge(&by_tag("a"), |_, _| true);
    rig.tier.forget(&Key::from("b"));
    assert!(!rig.is_settled());
    rig.turns();
    assert!(rig.is_settled() && !rig.has("a") && !rig.has("b") && rig.has("c"));
    assert_eq!(rig.files().len(), 1);
}

#[test]
fn what_is_forgotten_on_its_way_is_not_written() {
    let mut rig = Rig::new(1 << 20);
    let of = |key: &str| evicted(key, FRESH, b"content", now(&rig.clock));
    rig.tier.offer(of("a"));
    rig.tier.forget(&Key::from("a"));
    let again = of("b");
    let stored = Arc::clone(&again.stored);
    rig.tier.offer(again);
    rig.tier.outdated(&Key::from("b"), &stored);
    rig.turns();
    assert!(!rig.has("a") && !rig.has("b") && rig.files().is_empty());
}

#[test]
fn a_full_disk_is_left_alone_for_a_minute() {
    let mut rig = Rig::new(1 << 20);
    rig.disk.set_capacity(Some(1000));
    rig.evict("a", FRESH, &[1; 3000]);
    rig.turns();
    assert!(!rig.has("a"));
    let figures = || {
        [&rig.tier.figures.errors, &rig.tier.figures.refused].map(|one| one.load(std::sync::atomic::Ordering::Relaxed))
    };
    assert_eq!(figures(), [1, 0]);
    rig.tier.offer(evicted("b", FRESH, b"b", now(&rig.clock)));
    assert_eq!(figures(), [1, 1], "refused");
    rig.disk.set_capacity(None);
    rig.clock.advance(Duration::from_secs(60) + Duration::from_millis(1));
    rig.evict("c", FRESH, b"c");
    assert_eq!(rig.read("c").as_deref(), Some(&b"c"[..]));
}

#[test]
fn a_clock_that_went_back_makes_nothing_fresher() {
    let mut rig = Rig::new(1 << 20);
    let old = evicted("a", FRESH, b"a", now(&rig.clock));
    rig.clock.advance(Duration::from_secs(50));
    rig.tier.offer(old);
    rig.turns();
    let found = rig.tier.lock().index.find("a", |_| true).unwrap();
    let loaded = format::read(&rig.disk, &path(&found.name.to_string()), "a", 100).unwrap();
    let then = UnixMs(1_000);
    assert_eq!(loaded.stored.no_younger_than(loaded.written, then).left_s(then), 10);
}

#[test]
fn what_is_none_of_ours_goes() {
    let mut rig = Rig::new(1 << 20);
    rig.evict("a", FRESH, b"content");
    let [ours] = rig.files().try_into().unwrap();
    let whole = rig.disk.contents(&ours).unwrap();
    let place = |name: &str, contents: &[u8]| rig.disk.place(&path(name), contents.to_vec());
    place("writing", b"half");
    place("notes.txt", b"x");
    place(&"0".repeat(32), b"FBCACHE\x02");
    place(&"1".repeat(32), &whole);
    place(&"2".repeat(32), &whole[..whole.len() - 1]);
    place(&"A".repeat(32), &whole);
    let rig = Rig::on(rig.disk, rig.clock, 1 << 20);
    assert_eq!(rig.files(), [ours]);
    assert_eq!(rig.read("a").as_deref(), Some(&b"content"[..]));
}

#[test]
fn one_file_that_cannot_be_read_does_not_cost_the_others() {
    let mut rig = Rig::new(1 << 20);
    rig.evict("a", FRESH, b"a");
    rig.evict("b", FRESH, b"b");
    rig.disk.fail(Call::Read, 1);
    let mut rig = Rig::on(rig.disk, rig.clock, 1 << 20);
    assert_eq!([rig.has("a"), rig.has("b")].into_iter().filter(|has| *has).count(), 1);
    assert_eq!(rig.files().len(), 1);
    rig.evict("c", FRESH, b"c");
    assert!(rig.has("c"));
}

fn whole(content: &[u8]) -> Vec<u8> {
    let one = evicted("the key", FRESH, content, UnixMs(1_700_000_000_000));
    let mut file = format::front(&format::head_of(&one.key, &one.stored), &one.body, UnixMs(5));
    one.body.iter().for_each(|chunk| file.extend(chunk));
    file
}

fn read(file: Vec<u8>, key: &str) -> Result<Vec<u8>, Unread> {
    let disk = FakeDisk::new(1);
    disk.place(&path("file"), file);
    format::read(&disk, &path("file"), key, 10_000).map(|loaded| loaded.chunks.concat())
}

proptest! {
    #[test]
    fn a_file_is_read_whole_or_not_at_all(
        content in proptest::collection::vec(any::<u8>(), 0..500),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let file = whole(&content);
        prop_assert_eq!(read(file.clone(), "the key").unwrap(), content);
        prop_assert!(matches!(read(file.clone(), "another"), Err(Unread::Foreign)));
        let at = at.index(file.len());
        prop_assert!(matches!(read(file[..at].to_vec(), "the key"), Err(Unread::Foreign)), "cut at {}", at);
        let mut flipped = file.clone();
        flipped[at] ^= 1 << bit;
        prop_assert!(matches!(read(flipped, "the key"), Err(Unread::Foreign)), "flipped at {}", at);
        let mut zeroed = file.clone();
        zeroed[at..].fill(0);
        prop_assert!(zeroed == file || read(zeroed, "the key").is_err());
        prop_assert!(read([file, vec![0]].concat(), "the key").is_err(), "longer");
    }

    #[test]
    fn other_bytes_are_no_file(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(bytes, "the key").is_err());
    }
}
