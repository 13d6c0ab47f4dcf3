//! Memory with an exact limit.

use std::collections::HashMap;
use std::sync::Arc;

use http_cache::{EntryId, Inserted, Key, Store, Stored};
use proptest::prelude::*;

use crate::bench::{at, bench};

fn key(name: &str) -> Key {
    Key::from(name)
}

fn stored(variant: &str, tags: &str) -> Arc<Stored> {
    let response = [("cache-control", "max-age=100"), ("vary", "x"), ("surrogate-key", tags)];
    Arc::new(bench().stored(&[("x", variant)], &response))
}

/// What an entry with this key weighs.
fn weight(name: &str, tags: &str, body: u64) -> u64 {
    let mut store = Store::new(u64::MAX, u64::MAX);
    store.insert(&key(name), stored("1", tags), (), body);
    store.bytes()
}

fn id(inserted: Inserted) -> EntryId {
    match inserted {
        Inserted::Stored { id, .. } => id,
        Inserted::TooLarge => panic!("too large"),
    }
}

#[test]
fn variants_replace_their_like_and_come_newest_first() {
    let mut store = Store::new(1 << 20, 1 << 20);
    for (variant, body) in [("1", "a"), ("2", "b"), ("1", "c")] {
        store.insert(&key("k"), stored(variant, ""), body, 1);
    }
    assert_eq!(store.get("k").iter().map(|entry| *entry.body()).collect::<Vec<_>>(), ["c", "b"]);
    assert!(store.is_consistent());
}

#[test]
fn the_bytes_are_those_of_what_is_stored() {
    let small = weight("k", "", 0);
    assert_eq!(weight("k", "", 1000), small + 1000);
    assert_eq!(weight("longer", "", 0), small + 5);
    assert!(weight("k", "tag", 0) > small + 3);
    let mut store = Store::new(1 << 20, 1 << 20);
    let first = id(store.insert(&key("k"), stored("1", "a b"), (), 10));
    store.refresh(first, stored("1", ""));
    assert_eq!(store.bytes(), small + 10);
    store.remove(first);
    assert_eq!((store.bytes(), store.is_empty(), store.remove(first)), (0, true, false));
}

#[test]
fn what_is_used_stays() {
    let each = weight("0", "", 100);
    let mut store = Store::new(each * 3, each * 3);
    for name in ["0", "1", "2"] {
        store.insert(&key(name), stored("1", ""), (), 100);
    }
    store.touch(&store.get("0")[0]);
    assert!(matches!(store.insert(&key("3"), stored("1", ""), (), 100), Inserted::Stored { evicted: 1, .. }));
    let there = |store: &Store<()>| ["0", "1", "2", "3"].map(|name| !store.get(name).is_empty());
    assert_eq!(there(&store), [true, false, true, true]);
    store.insert(&key("4"), stored("1", ""), (), 100);
    assert_eq!(there(&store), [true, false, false, true], "one use, one reprieve: the hand goes on, not back");
}

#[test]
fn what_is_too_large_is_not_stored_but_replaces() {
    let mut store = Store::new(1 << 20, 2000);
    store.insert(&key("k"), stored("1", ""), (), 10);
    assert_eq!(store.insert(&key("k"), stored("1", ""), (), 4000), Inserted::TooLarge);
    assert!(store.is_empty());
}

#[test]
fn purges() {
    let mut store = Store::new(1 << 20, 1 << 20);
    for (name, tags) in [("a\nx", "red"), ("a\ny", "red blue"), ("b\nx", "blue"), ("b\ny", "")] {
        store.insert(&key(name), stored("1", tags), (), 10);
        store.insert(&key(name), stored("2", tags), (), 10);
    }
    assert_eq!(store.expire_tag("red", at(5)), 4);
    assert_eq!((store.get("a\nx")[0].stored().left_s(at(5)), store.get("b\nx")[0].stored().left_s(at(5))), (0, 95));
    assert_eq!(store.expire("b\ny", at(5)), 2);
    assert_eq!(store.purge_tag("red"), 4);
    assert_eq!(store.purge_tag("red"), 0);
    assert_eq!((store.purge("b\nx"), store.len()), (2, 2));
    assert_eq!(store.retain(|key| key.starts_with("a\n")), 2);
    assert_eq!((store.bytes(), store.purge_tag("blue")), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, variant: u8, tag: u8, body: u16 },
    Touch(u8),
    Refresh { nth: u8, tag: u8 },
    Remove(u8),
    Purge(u8),
    PurgeTag(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert = (0..6_u8, 0..3_u8, 0..4_u8, 0..3000_u16);
    let step = prop_oneof![
        4 => insert.prop_map(|(key, variant, tag, body)| Step::Insert { key, variant, tag, body }),
        2 => (0..6_u8).prop_map(Step::Touch),
        1 => (0..20_u8, 0..4_u8).prop_map(|(nth, tag)| Step::Refresh { nth, tag }),
        1 => (0..20_u8).prop_map(Step::Remove),
        1 => (0..6_u8).prop_map(Step::Purge),
        1 => (0..4_u8).prop_map(Step::PurgeTag),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn sums_and_indexes_agree_whatever_happens(steps in steps()) {
        let mut store = Store::new(9000, 5000);
        let mut newest: HashMap<(u8, u8), u64> = HashMap::new();
        let mut ids = Vec::new();
        for (number, step) in (0_u64..).zip(steps) {
            match step {
                Step::Insert { key: name, variant, tag, body } => {
                    let response = stored(&variant.to_string(), &format!("t{tag}"));
                    let inserted = store.insert(&key(&name.to_string()), response, number, body.into());
                    if let Inserted::Stored { id, .. } = inserted {
                        ids.push(id);
                        newest.insert((name, variant), number);
                        prop_assert_eq!(store.entry(id).map(|entry| *entry.body()), Some(number), "a new one stays");
                    } else {
                        newest.remove(&(name, variant));
                    }
                }
                Step::Touch(name) => store.get(&name.to_string()).iter().for_each(|entry| store.touch(entry)),
                Step::Refresh { nth, tag } => {
                    if let Some(id) = ids.get(usize::from(nth))
                        && let Some(entry) = store.entry(*id)
                    {
                        let mut again = (**entry.stored()).clone();
                        again.set_body_bytes(u64::from(tag));
                        prop_assert!(store.refresh(*id, Arc::new(again)));
                    }
                }
                Step::Remove(nth) => { ids.get(usize::from(nth)).map(|id| store.remove(*id)); }
                Step::Purge(name) => { store.purge(&name.to_string()); }
                Step::PurgeTag(tag) => { store.purge_tag(&format!("t{tag}")); }
            }
            prop_assert!(store.is_consistent());
            // Never an older response than the last one stored for that key and variant.
            for name in 0..6_u8 {
                for entry in store.get(&name.to_string()) {
                    prop_assert!(newest.iter().any(|((key, _), body)| *key == name && body == entry.body()));
                }
            }
        }
    }
}
