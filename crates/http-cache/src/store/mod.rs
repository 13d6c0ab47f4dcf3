//! Memory for responses: variants per key, an exact limit in bytes, purge by key and by tag.
//!
//! The store has no lock and no clock. Reading takes `&self`, so that readers may share it.

mod sieve;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use sieve::EntryId;

use crate::key::Key;
use crate::stored::Stored;
use crate::tags::tags;
use crate::time::UnixMs;
use sieve::Sieve;

/// A key has no more variants than this; the oldest goes.
const VARIANTS_MAX: usize = 32;

/// One stored response with its body.
#[derive(Debug)]
pub struct Entry<B> {
    id: EntryId,
    stored: Arc<Stored>,
    body: B,
    body_bytes: u64,
    tags: Box<[Arc<str>]>,
    bytes: u64,
}

impl<B> Entry<B> {
    /// Its name, also after others came and went.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The header section and its freshness.
    pub fn stored(&self) -> &Arc<Stored> {
        &self.stored
    }

    /// The content.
    pub fn body(&self) -> &B {
        &self.body
    }
}

impl<B> AsRef<Stored> for Entry<B> {
    fn as_ref(&self) -> &Stored {
        &self.stored
    }
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored; so many others went for it.
    Stored {
        /// The new entry.
        id: EntryId,
        /// How many entries were evicted.
        evicted: usize,
    },
    /// It is larger than one entry may be. What it would have replaced is gone all the same: it is out of date.
    TooLarge,
}

/// What had to go for others.
#[derive(Debug)]
pub struct Evicted<B> {
    /// The resource.
    pub key: Key,
    /// The header section and its freshness.
    pub stored: Arc<Stored>,
    /// The content.
    pub body: B,
}

/// Stored responses in memory, never more than the limit.
pub struct Store<B> {
    bytes_max: u64,
    entry_bytes_max: u64,
    bytes: u64,
    entries: HashMap<Key, Vec<Entry<B>>>,
    tagged: HashMap<Arc<str>, BTreeSet<EntryId>>,
    sieve: Sieve,
    /// What had to go since this was last asked, where somebody asks.
    evicted: Option<Vec<Evicted<B>>>,
}

impl<B> Store<B> {
    /// An empty store for `bytes_max` bytes in all and `entry_bytes_max` for one response, bookkeeping included.
    #[must_use]
    pub fn new(bytes_max: u64, entry_bytes_max: u64) -> Store<B> {
        Store {
            bytes_max,
            entry_bytes_max: entry_bytes_max.min(bytes_max),
            bytes: 0,
            entries: HashMap::new(),
            tagged: HashMap::new(),
            sieve: Sieve::default(),
            evicted: None,
        }
    }

    /// From now on [`Store::take_evicted`] is asked after whatever stores or refreshes.
    pub fn collect_evicted(&mut self) {
        self.evicted = Some(Vec::new());
    }

    /// What had to go for others since the last time.
    pub fn take_evicted(&mut self) -> Vec<Evicted<B>> {
        self.evicted.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many responses are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All variants of a resource, newest first: what [`crate::Policy::on_request`] asks for.
    #[must_use]
    pub fn get(&self, key: &str) -> &[Entry<B>] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }

    /// The keys that please, in no order. It looks at all of them.
    #[must_use]
    pub fn keys(&self, which: impl Fn(&str) -> bool) -> Vec<Key> {
        self.entries.keys().filter(|key| which(key)).cloned().collect()
    }

    /// One entry, if it is still there.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry<B>> {
        self.get(self.sieve.key(id)?).iter().find(|entry| entry.id == id)
    }

    /// Says that an entry answered a request, so that it stays longer.
    pub fn touch(&self, entry: &Entry<B>) {
        self.sieve.touch(entry.id);
    }

    /// Stores a response in the place of the one with the same selecting fields, evicting others as needed. `body_bytes` is
    /// what the body weighs.
    pub fn insert(&mut self, key: &Key, stored: Arc<Stored>, body: B, body_bytes: u64) -> Inserted {
        let variants = self.get(key);
        let replaced = variants.iter().find(|entry| entry.stored.selection == stored.selection);
        let surplus = variants.get(VARIANTS_MAX - 1);
        if let Some(id) = replaced.or(surplus).map(Entry::id) {
            self.remove(id);
        }
        let tags: Box<[Arc<str>]> = tags(&stored.headers).into_iter().map(Arc::from).collect();
        let bytes = weight::<B>(key, &stored, &tags, body_bytes);
        if bytes > self.entry_bytes_max {
            return Inserted::TooLarge;
        }
        let id = self.sieve.push(key.clone());
        for tag in &tags {
            self.tagged.entry(tag.clone()).or_default().insert(id);
        }
        self.bytes += bytes;
        let entry = Entry { id, stored, body, body_bytes, tags, bytes };
        self.entries.entry(key.clone()).or_default().insert(0, entry);
        Inserted::Stored { id, evicted: self.make_room(id) }
    }

    /// Gives an entry a new header section: after a 304, say. Whether it was still there.
    pub fn refresh(&mut self, id: EntryId, stored: Arc<Stored>) -> bool {
        let Some(key) = self.sieve.key(id).cloned() else { return false };
        let Some(entry) = self.entries.get_mut(&key).and_then(|list| list.iter_mut().find(|entry| entry.id == id))
        else {
            return false;
        };
        let tags: Box<[Arc<str>]> = tags(&stored.headers).into_iter().map(Arc::from).collect();
        let bytes = weight::<B>(&key, &stored, &tags, entry.body_bytes);
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        entry.stored = stored;
        let old = std::mem::replace(&mut entry.tags, tags.clone());
        untag(&mut self.tagged, &old, id);
        for tag in tags {
            self.tagged.entry(tag).or_default().insert(id);
        }
        self.make_room(id);
        true
    }

    /// Removes one entry; whether it was there.
    pub fn remove(&mut self, id: EntryId) -> bool {
        self.take(id).is_some()
    }

    fn take(&mut self, id: EntryId) -> Option<(Key, Entry<B>)> {
        let key = self.sieve.key(id)?.clone();
        let variants = self.entries.get_mut(&key)?;
        let at = variants.iter().position(|entry| entry.id == id)?;
        let entry = variants.remove(at);
        if variants.is_empty() {
            self.entries.remove(&key);
        }
        untag(&mut self.tagged, &entry.tags, id);
        self.bytes -= entry.bytes;
        self.sieve.remove(id);
        Some((key, entry))
    }

    /// Removes all variants of a resource; how many.
    pub fn purge(&mut self, key: &str) -> usize {
        let ids: Vec<EntryId> = self.get(key).iter().map(Entry::id).collect();
        ids.into_iter().filter(|id| self.remove(*id)).count()
    }

    /// Removes all that carries a surrogate key; how many.
    pub fn purge_tag(&mut self, tag: &str) -> usize {
        let ids = self.tagged.get(tag).cloned().unwrap_or_default();
        ids.into_iter().filter(|id| self.remove(*id)).count()
    }

    /// Removes all whose key does not please; how many. For a whole partition, say.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) -> usize {
        let gone = self.keys(|key| !keep(key));
        gone.into_iter().map(|key| self.purge(&key)).sum()
    }

    /// Makes all variants of a resource stale: they answer when the origin fails, and while it is asked where allowed.
    pub fn expire(&mut self, key: &str, now: UnixMs) -> usize {
        let ids: Vec<EntryId> = self.get(key).iter().map(Entry::id).collect();
        ids.into_iter().filter(|id| self.expire_one(*id, now)).count()
    }

    /// Makes all stale that carries a surrogate key; how many.
    pub fn expire_tag(&mut self, tag: &str, now: UnixMs) -> usize {
        let ids = self.tagged.get(tag).cloned().unwrap_or_default();
        ids.into_iter().filter(|id| self.expire_one(*id, now)).count()
    }

    fn expire_one(&mut self, id: EntryId, now: UnixMs) -> bool {
        let Some(stored) = self.entry(id).map(|entry| Arc::new(entry.stored.expired(now))) else { return false };
        self.refresh(id, stored)
    }

    fn make_room(&mut self, spared: EntryId) -> usize {
        let mut evicted = 0;
        while self.bytes > self.bytes_max {
            // A refreshed entry that outgrew the whole store goes itself.
            let victim = self.sieve.victim(spared).unwrap_or(spared);
            let Some((key, entry)) = self.take(victim) else { break };
            if let Some(evicted) = &mut self.evicted {
                evicted.push(Evicted { key, stored: entry.stored, body: entry.body });
            }
            evicted += 1;
        }
        evicted
    }
}

fn untag(tagged: &mut HashMap<Arc<str>, BTreeSet<EntryId>>, tags: &[Arc<str>], id: EntryId) {
    for tag in tags {
        if let Some(ids) = tagged.get_mut(tag) {
            ids.remove(&id);
            if ids.is_empty() {
                tagged.remove(tag);
            }
        }
    }
}

/// What an entry costs: body, header section, key (in the map and in the queue one text), tags and places in the tables.
fn weight<B>(key: &Key, stored: &Stored, tags: &[Arc<str>], body_bytes: u64) -> u64 {
    const TABLES: usize = 160;
    const TAG: usize = size_of::<Arc<str>>() * 2 + size_of::<EntryId>() + 48;
    let tags: usize = tags.iter().map(|tag| TAG + tag.len()).sum();
    let own = size_of::<Entry<B>>() + TABLES + key.len() + stored.bytes() + tags;
    body_bytes.saturating_add(own as u64)
}

impl<B> Store<B> {
    /// Whether every sum and index agrees with the entries; for tests.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let all = || self.entries.values().flatten();
        let sum: u64 = all().map(|entry| entry.bytes).sum();
        let names = |entry: &Entry<B>| entry.tags.len();
        let tagged: usize = self.tagged.values().map(BTreeSet::len).sum();
        let indexed = all().all(|entry| {
            self.sieve.key(entry.id).is_some() && entry.tags.iter().all(|tag| self.tagged[tag].contains(&entry.id))
        });
        sum == self.bytes && self.bytes <= self.bytes_max && tagged == all().map(names).sum::<usize>() && indexed
    }
}
