//! The queue over a disk that loses power, fails and fills up, with clients that remember what they were promised.
//!
//! All that a run does follows from its seed. A failing seed is printed; run it alone with `FOREBAY_SEED=N`, more of them
//! with `FOREBAY_SEEDS=N`.

mod memory;
mod world;

use world::{Faults, World};

use crate::serve::payload_text;

/// Seeds of one run of the tests, per kind of faults.
const SEEDS: u64 = 300;

fn run(faults: Faults, base: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("FOREBAY_SEED") {
        World::new(seed, faults).run();
        return;
    }
    let mut moved = 0;
    for seed in base..base + number("FOREBAY_SEEDS").unwrap_or(SEEDS) {
        let done = std::panic::catch_unwind(|| World::new(seed, faults).run());
        match done {
            Ok(jobs) => moved += jobs,
            Err(panic) => panic!("failed with FOREBAY_SEED={seed}: {}", payload_text(&*panic)),
        }
    }
    assert!(moved > 0, "the runs are to go through compaction, too");
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
