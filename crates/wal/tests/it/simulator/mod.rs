//! A seeded simulator: the log on a fake disk that loses power at any call, fails, fills up and shortens writes, beside a
//! model that knows only what was acknowledged.
//!
//! What must hold after any such history:
//! - every record of an acknowledged batch is delivered, in order, unless its segment was removed;
//! - what is delivered was appended, with these bytes and this LSN; nothing is invented, repeated or left out between;
//! - recovery that is cut off, or runs again, delivers the same; what it delivered once is never lost afterwards;
//! - no file leaves before the batch that carries its removal is synced, and a removed record never comes back;
//! - the disk being honest, no damage is reported;
//! - after a failed sync nothing is acknowledged any more.

mod model;
mod run;

use std::ops::Range;

use testkit::{FakeDisk, Plant, Planted};

/// Seeds per run of the tests. `FOREBAY_SIM_SEEDS=100000-900000` runs others.
const SEEDS: Range<u64> = 0..5000;

fn seeds() -> Range<u64> {
    let asked = std::env::var("FOREBAY_SIM_SEEDS").ok();
    let range = asked.as_deref().and_then(|asked| asked.split_once('-'));
    match range.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)) {
        Some(range) => range,
        None => SEEDS,
    }
}

#[test]
fn every_acknowledged_record_survives() {
    let seeds = seeds();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let half = |skip: usize| {
            let seeds = seeds.clone();
            move || {
                seeds
                    .skip(skip)
                    .step_by(2)
                    .filter_map(|seed| {
                        let disk = FakeDisk::new(seed);
                        run::run(disk.clone(), disk, seed).err().map(|e| format!("seed {seed}: {e}"))
                    })
                    .collect::<Vec<_>>()
            }
        };
        let halves = [scope.spawn(half(0)), scope.spawn(half(1))];
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} seeds fail:\n{}", failures.len(), failures[..failures.len().min(5)].join("\n"));
}

/// Bugs in what the log asks of the disk, each put between the two. A simulator that does not find them proves nothing.
#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let found = SEEDS.clone().find_map(|seed| {
            let disk = FakeDisk::new(seed);
            let planted = Planted::new(disk.clone(), plant);
            run::run(planted, disk, seed).err().map(|e| (seed, e))
        });
        let Some((seed, e)) = found else { panic!("{plant:?} was not found in {SEEDS:?}") };
        println!("{plant:?}: seed {seed}: {e}");
    }
}
