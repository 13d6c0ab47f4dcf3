//! What lies on disk, in memory: what is there, in what order it goes, what is to be removed. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::mem::size_of;

use http_cache::{Key, Outline, UnixMs};

/// What an entry costs beside its texts: its places in the map and in the order.
const OVERHEAD_BYTES: usize = 200;
/// A file takes whole blocks.
const BLOCK_BYTES: u64 = 4096;
/// A resource has no more variants than this; the oldest goes.
const VARIANTS_MAX: usize = 32;

/// The name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(pub(super) u128);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Name {
    /// Only what [`Name`] is written as.
    pub(super) fn parse(text: &str) -> Option<Name> {
        let name = Name(u128::from_str_radix(text, 16).ok()?);
        (name.to_string() == text).then_some(name)
    }
}

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: Name,
    pub(super) outline: Outline,
    pub(super) tags: Vec<Box<str>>,
    pub(super) file_bytes: u64,
    pub(super) written: UnixMs,
    /// Whether it can be read; otherwise it is still to be written.
    pub(super) is_there: bool,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    facts: Facts,
    weight: u64,
}

/// A file that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seq: u64,
    pub(super) name: Name,
    pub(super) file_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    bytes_max: u64,
    weight_max: u64,
    entries: HashMap<Key, Vec<Entry>>,
    /// Oldest first.
    order: BTreeMap<(UnixMs, u64), Key>,
    seqs: u64,
    bytes: u64,
    weight: u64,
    /// Files that are to be removed before anything else is written.
    doomed: Vec<Name>,
}

impl Index {
    pub(super) fn new(bytes_max: u64, weight_max: u64) -> Index {
        Index { bytes_max, weight_max, ..Index::default() }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn of(&self, key: &str) -> &[Entry] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn has(&self, key: &str, name: Name) -> bool {
        self.of(key).iter().any(|entry| entry.facts.name == name)
    }

    pub(super) fn holds(&self, key: &str, seq: u64) -> bool {
        self.of(key).iter().any(|entry| entry.seq == seq)
    }

    /// Takes in a file, the oldest going for it; its number. `None`, and the file is not to be, when it is too large.
    pub(super) fn add(&mut self, key: &Key, facts: Facts) -> Option<u64> {
        let (bytes, weight) = (disk_bytes(&facts), weight(key, &facts));
        if bytes > self.bytes_max || weight > self.weight_max {
            return None;
        }
        if let [oldest, ..] = self.of(key)
            && self.of(key).len() >= VARIANTS_MAX
        {
            self.forget(key, oldest.seq);
        }
        while self.bytes + bytes > self.bytes_max || self.weight + weight > self.weight_max {
            let Some(((_, seq), key)) = self.order.first_key_value() else { break };
            let (seq, key) = (*seq, key.clone());
            self.forget(&key, seq);
        }
        self.seqs += 1;
        let seq = self.seqs;
        self.bytes += bytes;
        self.weight += weight;
        self.order.insert((facts.written, seq), key.clone());
        self.entries.entry(key.clone()).or_default().push(Entry { seq, facts, weight });
        Some(seq)
    }

    /// The file has been written.
    pub(super) fn is_there(&mut self, key: &str, seq: u64) {
        let entries = self.entries.get_mut(key).into_iter().flatten();
        if let Some(entry) = entries.into_iter().find(|entry| entry.seq == seq) {
            entry.facts.is_there = true;
        }
    }

    /// The newest file that is there and pleases.
    pub(super) fn find(&self, key: &str, which: impl Fn(&Outline) -> bool) -> Option<Found> {
        let found = self.of(key).iter().rev().find(|entry| entry.facts.is_there && which(&entry.facts.outline))?;
        Some(Found { seq: found.seq, name: found.facts.name, file_bytes: found.facts.file_bytes })
    }

    /// Removes one; its file is doomed.
    pub(super) fn forget(&mut self, key: &str, seq: u64) {
        self.forget_where(key, |entry| entry.seq == seq);
    }

    /// Removes one variant.
    pub(super) fn forget_variant(&mut self, key: &str, name: Name) {
        self.forget_where(key, |entry| entry.facts.name == name);
    }

    /// Removes all variants.
    pub(super) fn forget_key(&mut self, key: &str) {
        self.forget_where(key, |_| true);
    }

    /// Removes what `which` means by key and surrogate keys; how many of them `counts`.
    pub(super) fn purge(
        &mut self,
        which: &dyn Fn(&str, &[Box<str>]) -> bool,
        counts: impl Fn(&str, &Outline) -> bool,
    ) -> usize {
        let mut meant = Vec::new();
        let mut counted = 0;
        for (key, entries) in &self.entries {
            for entry in entries.iter().filter(|entry| which(key, &entry.facts.tags)) {
                meant.push((key.clone(), entry.seq));
                counted += usize::from(counts(key, &entry.facts.outline));
            }
        }
        meant.iter().for_each(|(key, seq)| self.forget(key, *seq));
        counted
    }

    /// A file that is not, or no longer, known here is to be removed.
    pub(super) fn doom(&mut self, name: Name) {
        self.doomed.push(name);
    }

    pub(super) fn has_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    pub(super) fn take_doomed(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.doomed)
    }

    fn forget_where(&mut self, key: &str, which: impl Fn(&Entry) -> bool) {
        let Some(entries) = self.entries.get_mut(key) else { return };
        for entry in entries.extract_if(.., |entry| which(entry)) {
            self.order.remove(&(entry.facts.written, entry.seq));
            self.bytes -= disk_bytes(&entry.facts);
            self.weight -= entry.weight;
            self.doomed.push(entry.facts.name);
        }
        if entries.is_empty() {
            self.entries.remove(key);
        }
    }
}

fn disk_bytes(facts: &Facts) -> u64 {
    facts.file_bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn weight(key: &str, facts: &Facts) -> u64 {
    let tags: usize = facts.tags.iter().map(|tag| size_of::<Box<str>>() + 16 + tag.len()).sum();
    (OVERHEAD_BYTES + size_of::<Entry>() + key.len() + facts.outline.bytes() + tags) as u64
}
