//! Many requests, one fetch. A waiting request is here the value of the field that the response varies by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http_cache::{FetchId, FetchLimits, FetchTable, Join, Key, Leave, Read, Shared, Stored, UnixMs, WaiterId};
use proptest::prelude::*;

use crate::bench::{at, bench, fields, get, name};

type Table = FetchTable<&'static str>;

fn key() -> Key {
    Key::from("k")
}

fn table() -> Table {
    let limits = FetchLimits {
        fetches_max: 2,
        waiters_max: 4,
        body_bytes_max: 10,
        bytes_max: 1 << 20,
        alone_ms: 1000,
        alone_max: 2,
    };
    FetchTable::new(limits)
}

fn for_foo(value: &'static str) -> Arc<Stored> {
    let response = [("cache-control", "max-age=100"), ("vary", "foo")];
    Arc::new(bench().stored(&[("foo", value)], &response))
}

fn fits(stored: &Stored, wants: &&'static str) -> bool {
    let request = fields(&[("foo", wants)]);
    name(&bench().0.on_request(&get(&request), std::slice::from_ref(stored), at(0))) == "fresh"
}

fn join(table: &mut Table, wants: &'static str) -> Join {
    table.join(&key(), wants, at(10), at(0), fits)
}

fn lead(table: &mut Table, wants: &'static str) -> (FetchId, WaiterId) {
    match join(table, wants) {
        Join::Lead(fetch, waiter) => (fetch, waiter),
        other => panic!("{other:?}"),
    }
}

fn wait(table: &mut Table, wants: &'static str) -> WaiterId {
    match join(table, wants) {
        Join::Wait(_, waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

fn chunk(text: &'static str) -> Read {
    Read::Chunk(Bytes::from_static(text.as_bytes()))
}

fn push(table: &mut Table, fetch: FetchId, text: &'static str) -> bool {
    table.push(fetch, Bytes::from_static(text.as_bytes()), at(0)).pause
}

#[test]
fn one_fetch_for_all_and_each_reads_at_its_own_pace() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let second = wait(&mut table, "1");
    assert_eq!(table.read(second), Read::Nothing);
    let woken = table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    assert_eq!((woken.ready, woken.released), (vec![first, second], vec![]));
    push(&mut table, fetch, "ab");
    assert_eq!((table.read(second), table.read(second)), (chunk("ab"), Read::Nothing));
    let late = wait(&mut table, "1");
    push(&mut table, fetch, "cd");
    let (chunks, wake) = table.finish(fetch);
    assert_eq!(chunks.unwrap().concat(), b"abcd");
    assert_eq!(wake, [first, second, late]);
    for waiter in [first, late] {
        assert_eq!([table.read(waiter), table.read(waiter), table.read(waiter)], [chunk("ab"), chunk("cd"), Read::End]);
    }
    assert_eq!((table.read(second), table.read(second)), (chunk("cd"), Read::End));
    assert!(table.is_empty());
}

#[test]
fn the_fetch_survives_the_first_client_and_all_others() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    assert_eq!(table.leave(first), Leave::Continue);
    table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    push(&mut table, fetch, "ab");
    let late = wait(&mut table, "1");
    assert_eq!(table.leave(late), Leave::Continue);
    let (chunks, wake) = table.finish(fetch);
    assert_eq!((chunks.unwrap().concat(), wake.len(), table.len()), (b"ab".to_vec(), 0, 0));
}

#[test]
fn other_variants_are_released_and_share_a_fetch_of_their_own() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let (second, third) = (wait(&mut table, "2"), wait(&mut table, "2"));
    let woken = table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    assert_eq!((woken.ready, woken.released), (vec![first], vec![second, third]));
    let (other, _) = lead(&mut table, "2");
    assert_ne!(other, fetch);
    assert!(matches!(join(&mut table, "2"), Join::Wait(id, _) if id == other));
    assert!(matches!(join(&mut table, "1"), Join::Wait(id, _) if id == fetch));
}

#[test]
fn what_cannot_be_shared_queues_nobody_up_twice() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let second = wait(&mut table, "1");
    let woken = table.head(fetch, &Shared::No, at(1), fits);
    assert_eq!((woken.ready, woken.released, woken.abort), (vec![first], vec![second], false));
    assert_eq!(join(&mut table, "1"), Join::Alone);
    push(&mut table, fetch, "ab");
    assert_eq!(table.read(first), chunk("ab"));
    assert_eq!(table.leave(first), Leave::Abort(fetch));
    assert!(matches!(table.join(&key(), "1", at(10), at(3), fits), Join::Lead(..)), "after a second it is tried again");
}

#[test]
fn what_cannot_be_shared_and_nobody_waits_for_is_broken_off() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let second = wait(&mut table, "1");
    table.leave(first);
    let woken = table.head(fetch, &Shared::No, at(1), fits);
    assert_eq!((woken.released, woken.abort, table.len()), (vec![second], true, 0));
}

#[test]
fn waiters_are_bounded_and_go_at_their_deadlines() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let others: Vec<WaiterId> = (0..3).map(|_| wait(&mut table, "1")).collect();
    assert_eq!(join(&mut table, "1"), Join::Full);
    table.leave(first);
    assert!(matches!(table.join(&key(), "1", at(5), at(0), fits), Join::Wait(..)));
    assert_eq!(table.next_deadline(), Some(at(5)));
    assert_eq!((table.expire(at(5)).len(), table.expire(UnixMs(at(10).0 - 1)).len()), (1, 0));
    assert_eq!(table.expire(at(10)), others);
    assert_eq!(table.next_deadline(), None);
    let woken = table.head(fetch, &Shared::Yes(for_foo("1")), at(11), fits);
    assert!(woken.ready.is_empty() && !woken.abort, "it still fills the cache");
}

#[test]
fn fetches_are_bounded() {
    let mut table = table();
    let of = |table: &mut Table, name: &str| table.join(&Key::from(name), "1", at(10), at(0), fits);
    assert!(matches!(of(&mut table, "a"), Join::Lead(..)) && matches!(of(&mut table, "b"), Join::Lead(..)));
    assert_eq!(of(&mut table, "c"), Join::Full);
}

#[test]
fn a_failure_is_shared() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    let second = wait(&mut table, "1");
    assert_eq!(table.fail(fetch).released, [first, second]);
    assert!(table.is_empty() && table.next_deadline().is_none());
    let (fetch, first) = lead(&mut table, "1");
    table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    push(&mut table, fetch, "ab");
    assert_eq!(table.fail(fetch).ready, [first]);
    assert_eq!((table.read(first), table.read(first), table.len()), (chunk("ab"), Read::CutOff, 0));
}

#[test]
fn of_a_body_too_long_to_keep_the_fastest_sets_the_pace() {
    let mut table = table();
    let (fetch, fast) = lead(&mut table, "1");
    let slow = wait(&mut table, "1");
    table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    for _ in 0..2 {
        assert!(!push(&mut table, fetch, "12345"));
        assert_eq!(table.read(fast), chunk("12345"));
    }
    assert!(!push(&mut table, fetch, "12345"), "the slow one is cut off and its bytes go");
    assert_eq!((table.read(slow), table.read(fast)), (Read::CutOff, chunk("12345")));
    assert_eq!(join(&mut table, "1"), Join::Alone);
    table.pardon(&key());
    assert_eq!(join(&mut table, "1"), Join::Alone, "the next answer may be as long");
    assert!(!push(&mut table, fetch, "12345"));
    assert!(push(&mut table, fetch, "67890"), "even the fastest is behind");
    assert!(!table.may_resume(fetch));
    assert_eq!(table.read(fast), chunk("12345"));
    assert!(table.may_resume(fetch));
    assert_eq!(table.finish(fetch), (None, vec![fast]));
    assert_eq!((table.read(fast), table.read(fast), table.is_empty()), (chunk("67890"), Read::End, true));
}

#[test]
fn a_body_too_long_to_keep_that_nobody_reads_is_broken_off() {
    let mut table = table();
    let (fetch, first) = lead(&mut table, "1");
    table.leave(first);
    table.head(fetch, &Shared::Yes(for_foo("1")), at(1), fits);
    assert!(!table.push(fetch, Bytes::from_static(b"1234567890"), at(1)).abort);
    assert!(table.push(fetch, Bytes::from_static(b"1"), at(1)).abort);
    assert!(table.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Join(bool),
    Head { mine: bool, shared: bool },
    Push(u8),
    Read(u8),
    Leave(u8),
    Finish,
    Fail,
    Expire(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Join),
        2 => (any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(mine, shared)| Step::Head { mine, shared }),
        4 => (0..7_u8).prop_map(Step::Push),
        6 => (0..12_u8).prop_map(Step::Read),
        1 => (0..12_u8).prop_map(Step::Leave),
        1 => Just(Step::Finish),
        1 => Just(Step::Fail),
        1 => (0..20_u8).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    /// Whatever happens in whatever order: a reader gets the bytes of its fetch from the first one on and in order, `End`
    /// only after all of them, and nothing is left behind.
    #[test]
    fn readers_get_all_or_know_that_they_did_not(steps in steps()) {
        let mut table = table();
        let mut sent: BTreeMap<FetchId, Vec<u8>> = BTreeMap::new();
        let mut readers: BTreeMap<WaiterId, (FetchId, Vec<u8>)> = BTreeMap::new();
        let mut headed = BTreeSet::new();
        let mut latest = None;
        let mut now = at(0);
        let wants = |one| if one { "1" } else { "2" };
        for step in steps {
            match step {
                Step::Join(one) => match table.join(&key(), wants(one), UnixMs(now.0 + 10_000), now, fits) {
                    Join::Lead(fetch, waiter) | Join::Wait(fetch, waiter) => {
                        sent.entry(fetch).or_default();
                        latest = Some(fetch);
                        readers.insert(waiter, (fetch, Vec::new()));
                    }
                    Join::Alone | Join::Full => {}
                },
                Step::Head { mine, shared } => if let Some(fetch) = latest {
                    let shared = if shared { Shared::Yes(for_foo(wants(mine))) } else { Shared::No };
                    headed.insert(fetch);
                    for waiter in table.head(fetch, &shared, now, fits).released {
                        readers.remove(&waiter);
                    }
                },
                Step::Push(count) => if let Some(fetch) = latest {
                    let all = sent.entry(fetch).or_default();
                    let bytes: Vec<u8> = (0..count).map(|at| at.wrapping_add(all.len() as u8)).collect();
                    table.push(fetch, Bytes::from(bytes.clone()), now);
                    if headed.contains(&fetch) {
                        all.extend(bytes);
                    }
                },
                Step::Read(nth) => if let Some(waiter) = readers.keys().nth(nth.into()).copied() {
                    let (fetch, got) = readers.get_mut(&waiter).unwrap();
                    match table.read(waiter) {
                        Read::Chunk(bytes) => {
                            got.extend(bytes);
                            prop_assert!(sent[fetch].starts_with(got));
                        }
                        Read::Nothing => {}
                        Read::End => {
                            prop_assert_eq!(&*got, &sent[fetch]);
                            readers.remove(&waiter);
                        }
                        Read::CutOff => { readers.remove(&waiter); }
                    }
                },
                Step::Leave(nth) => if let Some(waiter) = readers.keys().nth(nth.into()).copied() {
                    table.leave(waiter);
                    readers.remove(&waiter);
                },
                Step::Finish => if let Some(fetch) = latest.take() {
                    for waiter in table.finish(fetch).1 { prop_assert!(readers.contains_key(&waiter)); }
                },
                Step::Fail => if let Some(fetch) = latest.take() {
                    for waiter in table.fail(fetch).released { readers.remove(&waiter); }
                },
                Step::Expire(seconds) => {
                    now = UnixMs(now.0 + u64::from(seconds) * 1000);
                    for waiter in table.expire(now) { readers.remove(&waiter); }
                }
            }
        }
        for waiter in readers.into_keys() {
            table.leave(waiter);
        }
        prop_assert!(table.next_deadline().is_none());
    }
}

#[test]
fn all_fetches_together_keep_no_more_than_the_bound() {
    let limits = FetchLimits { bytes_max: 100_000, ..FetchLimits::default() };
    let mut table: FetchTable<()> = FetchTable::new(limits);
    let now = UnixMs(0);
    let mut fetches = Vec::new();
    for name in ["a", "b"] {
        let Join::Lead(fetch, waiter) = table.join(&name.into(), (), UnixMs(1), now, |_, ()| true) else { panic!() };
        table.head(fetch, &Shared::Yes(for_foo("a")), now, |_, ()| true);
        table.push(fetch, vec![0; 60_000].into(), now);
        fetches.push((fetch, waiter));
    }
    let ((first, _), (second, waiter)) = (fetches[0], fetches[1]);
    assert_eq!(table.bytes(), 120_000, "what is not read is not lost");
    assert!(table.push(second, vec![0; 60_000].into(), now).pause);
    while matches!(table.read(waiter), Read::Chunk(_)) {}
    assert_eq!(table.bytes(), 60_000);
    assert_eq!(table.finish(second).0, None, "it passed through");
    assert!(table.finish(first).0.is_some());
    let anew = table.join(&"b".into(), (), UnixMs(1), now, |_, ()| true);
    assert_eq!(anew, Join::Alone);
    table.pardon("b");
    assert!(matches!(table.join(&"b".into(), (), UnixMs(1), now, |_, ()| true), Join::Lead(..)));
}

#[test]
fn what_was_purged_on_its_way_goes_to_those_who_wait_and_is_not_kept() {
    let mut table = table();
    let Join::Lead(old, leader) = join(&mut table, "a") else { panic!() };
    assert_eq!(table.disown(|key, stored| key == "other" || stored.is_some()), 0);
    assert_eq!(table.disown(|key, stored| key == "k" && stored.is_none()), 1);
    assert_eq!(table.disown(|_, _| true), 0, "once is enough");
    let Join::Lead(new, _) = join(&mut table, "a") else { panic!("who comes later gets nothing older") };
    table.head(old, &Shared::Yes(for_foo("a")), at(0), fits);
    table.push(old, Bytes::from_static(b"old"), at(0));
    assert!(matches!(table.read(leader), Read::Chunk(_)));
    assert!(table.finish(old).0.is_none());
    table.head(new, &Shared::Yes(for_foo("a")), at(0), fits);
    table.push(new, Bytes::from_static(b"new"), at(0));
    assert!(table.finish(new).0.is_some());
}
