//! The queue over a disk that loses power, fails and fills up, with clients that remember what they were promised.
//!
//! All that a run does follows from its seed. A failing seed is printed; `cargo xtask simulate --seed N` runs it alone,
//! `--seeds N` more of them.

mod bugs;
mod client;
mod far;
mod keys;
mod long;
pub(crate) mod memory;
mod world;

use std::io::Write;
use std::panic::catch_unwind;

use bugs::Bug;
use testkit::{FakeDisk, Plant, Planted};
use world::{Done, Faults, World};

use crate::serve::payload_text;

/// Seeds of one run of the tests, per kind of faults.
const SEEDS: u64 = 400;

/// Seeds within which a planted bug must be found.
const SEEDS_PER_BUG: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the seeds of one kind of faults and prints what they covered.
fn run(faults: Faults, base: u64) {
    if let Some(seed) = number("FOREBAY_SEED") {
        World::new(seed, faults).run();
        return;
    }
    let base = base + number("FOREBAY_SEEDS_FROM").unwrap_or(0);
    let seeds = number("FOREBAY_SEEDS").unwrap_or(SEEDS);
    let mut all = Done::default();
    for seed in base..base + seeds {
        match catch_unwind(|| World::new(seed, faults).run()) {
            Ok(done) => {
                all.moved += done.moved;
                all.sent_far += done.sent_far;
                all.filled += done.filled;
            }
            Err(panic) => panic!("failed with FOREBAY_SEED={seed}: {}", payload_text(&*panic)),
        }
    }
    writeln!(std::io::stderr(), "{faults:?}: seeds {base} to {}, {all:?}", base + seeds - 1).unwrap();
    assert!(all.moved > 0 || seeds < 50, "the runs are to go through compaction, too");
    assert!(all.sent_far > 0 || seeds < 50, "and jobs are to leave memory");
    assert!(all.filled > 0 || seeds < 50 || faults != Faults::FullDisk, "and to the last byte of a disk");
}

#[test]
fn promises_are_kept_over_power_cuts() {
    run(Faults::PowerCuts, 0);
}

#[test]
fn promises_are_kept_when_writes_and_syncs_fail() {
    run(Faults::Errors, 100_000);
}

#[test]
fn promises_are_kept_when_the_disk_is_full() {
    run(Faults::FullDisk, 200_000);
}

/// The first seed that finds a bug.
fn found(world: impl Fn(u64) -> Done + std::panic::RefUnwindSafe) -> Option<u64> {
    (0..SEEDS_PER_BUG).find(|&seed| catch_unwind(|| world(seed)).is_err())
}

#[test]
fn bugs_between_the_queue_and_its_disk_are_found() {
    for plant in Plant::ALL {
        let faults = match plant {
            Plant::FailedSyncIgnored | Plant::LastBatchNotRewritten => Faults::Errors,
            _ => Faults::PowerCuts,
        };
        let found = found(|seed| {
            let disk = FakeDisk::new(seed);
            World::on(Planted::new(disk.clone(), plant), disk, seed, faults).run()
        });
        assert!(found.is_some(), "{plant:?} was not found in {SEEDS_PER_BUG} seeds");
    }
}

#[test]
fn bugs_of_the_queue_are_found() {
    for bug in Bug::ALL {
        let found = found(|seed| World::new(seed, Faults::PowerCuts).with(bug).run());
        assert!(found.is_some(), "{bug:?} was not found in {SEEDS_PER_BUG} seeds");
    }
}
