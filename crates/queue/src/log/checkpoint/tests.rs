//! Checkpoints that come back whole, and those that must not.

use std::collections::BTreeMap;
use std::path::Path;

use stdx::clock::{Mono, Wall};
use testkit::FakeDisk;
use wal::Position;

use super::*;
use crate::config::Config;
use crate::engine::{
    AttemptEnd, Counts, Dead, Engine, Facts, Job, JobState, Limits, More, Now, Pause, PauseNote, Presence, PutTerms,
    SpaceIx, Window, scoped_key,
};
use crate::names::JobId;

const LOG: [u8; 16] = *b"the log's number";

fn engine() -> Engine {
    Engine::new(Limits::from(&Config::default()))
}

/// Keys and a death, of some.
fn more(id: u64) -> Option<Box<More>> {
    let name = |kind| Some(scoped_key("t", &format!("{kind}{id}")));
    let (key, unique, order) = (name("k"), name("u"), Some("o".into()));
    let terms = PutTerms { key, key_until_ms: 1_900_000_000_000 + id, unique, order, ..PutTerms::default() };
    let dead = id.is_multiple_of(3).then(|| Dead { at_ms: id, end: AttemptEnd::Failed, from: "elsewhere".into() });
    id.is_multiple_of(2).then(|| Box::new(More { terms, dead, ..More::default() }))
}

/// Jobs of all states in two namespaces.
fn full() -> Engine {
    let mut engine = engine();
    let shop = engine.space_ix(&crate::names::Namespace(Some("shop/production".parse().unwrap())));
    let tubes = [engine.tube_or_new(SpaceIx::SHARED, "a"), engine.tube_or_new(shop, "orders")];
    let note = PauseNote::new("ann", "the shop moves");
    engine.pause(tubes[1], Pause { asked_ms: 5, until_ms: 1_900_000_000_000, note });
    engine.set_tick(shop, "hourly", 1_800_000_000_000);
    engine.tube_mut(tubes[0]).totals.deletes = 7;
    engine.space_mut(shop).totals.jobs = 9;
    let client = engine.enter(SpaceIx::SHARED, Presence::Connection);
    for id in 1..=3000u64 {
        let at = Position { segment: 1 + id / 1000, offset: id as u32, len: 100 };
        let state = match id % 4 {
            0 => JobState::Delayed { until_ms: 1_800_000_000_000 + id },
            1 => JobState::Buried { turn: 5000 - id },
            _ => JobState::Ready,
        };
        let counts = Counts { reserves: id as u32, ..Counts::default() };
        let tube = tubes[id as usize % 2];
        let facts = (id % 5 == 0).then(|| Facts { counts, more: more(id), ..Facts::default() });
        let (lsn, body_len) = (wal::Lsn(id), 40);
        engine.insert(
            Job { id: JobId(id), created_ms: id, lsn, at, body_len, pri: 9, ttr_s: 60, delay_s: 1, tube, state },
            facts,
        );
    }
    let window = Window { id: JobId(0), until_ms: 1_900_000_000_000, is_logged: true };
    engine.keys_mut().keep(SpaceIx::SHARED, scoped_key("t", "of a job that is gone"), window);
    engine.reserve(client, JobId(2), Now { mono: Mono(1), wall: Wall::from_millis(1) });
    engine
}

fn write(disk: &FakeDisk, engine: &Engine, lsn: u64) {
    let segments = BTreeMap::new();
    let folder = Path::new("/q/index");
    disk.create_dir(folder).unwrap();
    Checkpoint::take(engine, engine.next_id(), segments.iter(), (LOG, wal::Lsn(lsn))).write(disk, folder).unwrap();
}

#[test]
fn what_was_written_is_read() {
    let (disk, before) = (FakeDisk::new(1), full());
    write(&disk, &before, 3000);
    disk.power_cut();
    assert_eq!(list(&disk, Path::new("/q/index")).unwrap(), [wal::Lsn(3000)]);
    let (replay, resume) = read(&disk, Path::new("/q/index"), wal::Lsn(3000), engine()).unwrap();
    assert_eq!(resume, wal::Resume { log: LOG, lsn: wal::Lsn(3000) });
    let after = replay.engine;
    assert_eq!(after.next_id(), JobId(3001));
    for id in (1..=3000).map(JobId) {
        let (was, is) = (before.job(id).unwrap(), after.job(id).unwrap());
        let state = if id.0 == 2 { JobState::Ready } else { was.state };
        assert_eq!((is.at, is.body_len, is.pri, is.state), (was.at, was.body_len, was.pri, state));
        assert_eq!(after.tube(is.tube).name, before.tube(was.tube).name);
        assert_eq!(after.counts(id), before.counts(id));
        assert_eq!(after.facts(id).and_then(|f| f.more.clone()), before.facts(id).and_then(|f| f.more.clone()));
        assert_eq!(after.is_held_back(id, is.tube), before.is_held_back(id, was.tube));
    }
    assert!(after.dead().eq(before.dead()) && before.dead().count() > 0);
    let windows =
        |engine: &Engine| engine.keys().windows().map(|key| (key.1.clone(), key.2)).collect::<BTreeMap<_, _>>();
    let unique = |engine: &Engine| engine.keys().unique().map(|key| (key.1.clone(), key.2)).collect::<BTreeMap<_, _>>();
    assert_eq!((windows(&after), unique(&after)), (windows(&before), unique(&before)));
    assert!(unique(&after).len() < windows(&after).len(), "the dead have let theirs go, and a window stays");
    for (one, other) in before.tubes().zip(after.tubes()) {
        assert_eq!((&one.name, one.totals, &one.pause), (&other.name, other.totals, &other.pause));
    }
    let shop = after.spaces().iter().find(|space| space.text == "shop/production").unwrap();
    assert_eq!(shop.totals.jobs, 9);
    assert_eq!(shop.ticks.get("hourly"), Some(&1_800_000_000_000));
    assert_eq!(replay.segments.values().map(|used| used.live_jobs).sum::<u64>(), 3000);
}

#[test]
fn no_flipped_bit_passes() {
    let (disk, engine_before) = (FakeDisk::new(1), full());
    write(&disk, &engine_before, 3000);
    let path = path_of(Path::new("/q/index"), wal::Lsn(3000));
    let len = disk.contents(&path).unwrap().len();
    for byte in (0..len).step_by(997).chain(0..64) {
        disk.flip_bit(&path, byte, (byte % 8) as u8);
        assert!(read(&disk, Path::new("/q/index"), wal::Lsn(3000), engine()).is_err(), "byte {byte}");
        disk.flip_bit(&path, byte, (byte % 8) as u8);
    }
    for len in (0..len).step_by(1009) {
        let whole = disk.contents(&path).unwrap();
        disk.place(&path, whole[..len].to_vec());
        assert!(read(&disk, Path::new("/q/index"), wal::Lsn(3000), engine()).is_err(), "cut at {len}");
        disk.place(&path, whole);
    }
}

#[test]
fn two_are_kept() {
    let (disk, engine) = (FakeDisk::new(1), full());
    for lsn in [3000, 3001, 3002] {
        write(&disk, &engine, lsn);
    }
    assert_eq!(list(&disk, Path::new("/q/index")).unwrap(), [wal::Lsn(3002), wal::Lsn(3001)]);
}
