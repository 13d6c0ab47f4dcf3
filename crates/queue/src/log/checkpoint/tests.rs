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

fn write(disk: &FakeDisk, engine: &mut Engine, lsn: u64) {
    write_far(disk, (engine, &mut Far::new(None), u64::MAX), lsn);
}

/// Delayed jobs that are due from `far_ms` on go far.
fn write_far(
    disk: &FakeDisk,
    (engine, far, far_ms): (&mut Engine, &mut Far<FakeDisk>, u64),
    lsn: u64,
) -> Written<FakeDisk> {
    let segments = BTreeMap::new();
    let folder = Path::new("/q/index");
    disk.create_dir(folder).unwrap();
    let next_id = engine.next_id();
    let taken = Checkpoint::take((engine, far, far_ms), next_id, segments.iter(), (LOG, wal::Lsn(lsn)));
    taken.write(disk, folder).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let (disk, mut before) = (FakeDisk::new(1), full());
    write(&disk, &mut before, 3000);
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
    let (disk, mut engine_before) = (FakeDisk::new(1), full());
    write_far(&disk, (&mut engine_before, &mut Far::new(None), 0), 3000);
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
    let (disk, mut engine) = (FakeDisk::new(1), full());
    for lsn in [3000, 3001, 3002] {
        write(&disk, &mut engine, lsn);
    }
    assert_eq!(list(&disk, Path::new("/q/index")).unwrap(), [wal::Lsn(3002), wal::Lsn(3001)]);
}

/// What is known of a job, wherever it is.
fn known(engine: &Engine, id: JobId) -> Option<(JobState, u32, Option<Facts>, String)> {
    let job = engine.job(id)?;
    Some((job.state, job.pri, engine.facts(id).cloned(), engine.tube(job.tube).name.to_string()))
}

fn figures(engine: &Engine) -> Vec<String> {
    engine.tubes().map(|tube| format!("{} {:?}", tube.name, tube.figures)).collect()
}

#[test]
fn far_jobs_leave_memory_and_come_back_as_they_were() {
    let (disk, mut engine, mut far) = (FakeDisk::new(1), full(), Far::new(None));
    let all = |engine: &Engine| (1..=3000).map(|id| known(engine, JobId(id))).collect::<Vec<_>>();
    let (before, counted) = (all(&engine), figures(&engine));
    let written = write_far(&disk, (&mut engine, &mut far, 1_800_000_001_000), 3000);
    // Of the delayed ones those with an ordering key stay.
    assert_eq!(written.leaving.len(), (1000..=3000).filter(|id| id % 4 == 0 && id % 20 != 0).count());
    far.take_over(&mut engine, written.far, written.leaving);
    while far.send_some(&mut engine, 7) {}
    assert_eq!((engine.far_len(), engine.jobs_len()), (400, 3000));
    assert_eq!(figures(&engine), counted);
    assert!(engine.job(JobId(1004)).is_none() && engine.job(JobId(1000)).is_some());
    // By id, as the first of a tube, and all the others.
    assert!(far.bring(&mut engine, JobId(1004)).unwrap());
    assert!(!far.bring(&mut engine, JobId(1005)).unwrap() && !far.bring(&mut engine, JobId(9000)).unwrap());
    let tube = engine.find_tube(SpaceIx::SHARED, "a").unwrap();
    let firsts = |engine: &Engine| engine.tube(tube).delayed.iter().take(150).map(|key| key.1).collect::<Vec<_>>();
    far.bring_first(&mut engine, tube, 150).unwrap();
    let first = firsts(&engine);
    assert!(engine.far_len() > 0);
    far.bring_all(&mut engine).unwrap();
    assert_eq!((all(&engine), figures(&engine), engine.far_len()), (before, counted, 0));
    assert_eq!(firsts(&engine), first);
}

#[test]
fn what_came_back_or_changed_is_not_as_the_file_says() {
    let (disk, mut engine, mut far) = (FakeDisk::new(1), full(), Far::new(None));
    let written = write_far(&disk, (&mut engine, &mut far, 0), 3000);
    // One is deleted and one is kicked while the file is written.
    engine.remove(JobId(4));
    engine.make_ready(JobId(8));
    far.take_over(&mut engine, written.far, written.leaving);
    // And one before its turn to leave has come.
    engine.make_ready(JobId(12));
    while far.send_some(&mut engine, 50) {}
    assert!(!far.bring(&mut engine, JobId(4)).unwrap() && engine.job(JobId(4)).is_none());
    assert_eq!(engine.job(JobId(8)).map(|job| job.state), Some(JobState::Ready));
    assert_eq!(engine.job(JobId(12)).map(|job| job.state), Some(JobState::Ready));
    // The next file has the others, and not the one that is deleted while that is written.
    assert!(far.bring(&mut engine, JobId(16)).unwrap());
    engine.remove(JobId(16));
    let written = write_far(&disk, (&mut engine, &mut far, 0), 3001);
    assert!(far.bring(&mut engine, JobId(24)).unwrap());
    engine.remove(JobId(24));
    far.take_over(&mut engine, written.far, written.leaving);
    while far.send_some(&mut engine, 50) {}
    for gone in [4, 16, 24] {
        assert!(!far.bring(&mut engine, JobId(gone)).unwrap() && engine.job(JobId(gone)).is_none(), "{gone}");
    }
    // A file that could not be written changes nothing.
    assert!(far.bring(&mut engine, JobId(28)).unwrap());
    write_far(&disk, (&mut engine, &mut far, 0), 3002);
    assert!(far.bring(&mut engine, JobId(32)).unwrap());
    engine.remove(JobId(32));
    far.keep_on(&mut engine);
    far.bring_all(&mut engine).unwrap();
    assert!(engine.job(JobId(32)).is_none());
    assert_eq!((engine.far_len(), engine.jobs_len()), (0, 2996));
}

#[test]
fn a_start_has_far_jobs_where_the_checkpoint_had_them() {
    let (disk, mut engine_before, mut far) = (FakeDisk::new(1), full(), Far::new(None));
    let counted = figures(&engine_before);
    write_far(&disk, (&mut engine_before, &mut far, 0), 3000);
    disk.power_cut();
    let (replay, _) = read(&disk, Path::new("/q/index"), wal::Lsn(3000), engine()).unwrap();
    let (mut after, mut far) = (replay.engine, replay.far);
    assert_eq!(replay.segments.values().map(|used| used.live_jobs).sum::<u64>(), 3000);
    assert_eq!((after.far_len(), after.next_id()), (600, JobId(3001)));
    // One was reserved, and is ready.
    let freed = counted.concat().replace("749", "750").replace("reserved: 1", "reserved: 0");
    assert_eq!(figures(&after).concat(), freed);
    far.settle(&mut after, 1_000);
    let rings = after.idle_for(Now { mono: Mono(1), wall: Wall::from_millis(1_799_999_999_000) });
    assert_eq!(rings, Some(std::time::Duration::from_millis(4)), "a second before the first of the far ones is due");
    far.bring_all(&mut after).unwrap();
    for id in (1..=3000).map(JobId).filter(|id| id.0 != 2) {
        assert_eq!(known(&after, id), known(&engine_before, id));
    }
}
