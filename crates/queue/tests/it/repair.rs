//! Bits that turn over in a queue's folder: what is damaged is told, what is readable goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use queue::backup::{Repaired, preview, repair, verify};
use queue::config::Config;

use crate::rig::{Client, Forebay, block_on, config, start_in};

fn small() -> Config {
    Config { segment_bytes_max: 8_192, job_bytes_max: 1_000, ..config() }
}

/// A stopped queue's folder, and the jobs in it.
fn filled() -> (tempfile::TempDir, BTreeMap<u64, String>) {
    let ours = Forebay::start_with(small());
    let mut jobs = BTreeMap::new();
    let mut client = ours.connect();
    for n in 0..120 {
        client.ask(if n % 2 == 0 { "use even" } else { "use odd" });
        let body = format!("{n:03}{}", "x".repeat(300));
        jobs.insert(client.put("0 0 60", &body), body);
    }
    block_on(ours.handle.stop());
    (ours.folder, jobs)
}

fn segments(queue: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(queue.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|kind| kind == "wal"));
    all.sort();
    all
}

/// Turns a bit over in the body of a job; its record is the only one that it costs.
fn rot(queue: &Path, body: &str) {
    for path in segments(queue) {
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(body.len()).position(|window| window == body.as_bytes()) {
            bytes[at + 100] ^= 4;
            return std::fs::write(&path, bytes).unwrap();
        }
    }
    panic!("no such body");
}

/// All that can be reserved, by id.
fn drain(folder: &Path) -> BTreeMap<u64, String> {
    let handle = start_in(folder, small()).unwrap();
    assert!(handle.recovery().is_clean(), "{:?}", handle.recovery());
    let mut client = Client::connect(handle.bound()[0]);
    client.ask("watch even");
    client.ask("watch odd");
    let mut jobs = BTreeMap::new();
    loop {
        let answer = client.ask_all("reserve-with-timeout 0");
        let Some((head, body)) = answer.split_once('\n') else { break };
        jobs.insert(head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned());
    }
    block_on(handle.stop());
    jobs
}

#[test]
fn a_repair_says_first_what_it_would_lose_and_then_loses_no_more() {
    let (folder, mut jobs) = filled();
    let queue = folder.path().join("queue");
    assert_eq!(preview(&queue).unwrap().jobs_whole, 120);
    for n in [10, 11, 60] {
        let (&id, body) = jobs.iter().nth(n).unwrap();
        rot(&queue, body);
        jobs.remove(&id);
    }
    let before: Vec<_> = segments(&queue).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let seen = preview(&queue).unwrap();
    assert!(seen.dry_run && !seen.damage.is_empty() && !seen.segments.is_empty(), "{seen:?}");
    assert_eq!((seen.jobs_whole, seen.jobs_lost.len() as u64 + seen.records_lost > 0), (117, true), "{seen:?}");
    let after: Vec<_> = segments(&queue).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(before, after, "looking changes nothing");

    let done = repair(&queue).unwrap();
    assert_eq!(Repaired { kept: Vec::new(), dry_run: true, ..done.clone() }, seen);
    assert!(!done.kept.is_empty(), "{done:?}");
    let verified = verify(&queue).unwrap();
    assert!(verified.damage.is_empty(), "{verified:?}");
    assert_eq!(repair(&queue).unwrap().damage, Vec::<String>::new(), "once is enough");
    assert_eq!(drain(folder.path()), jobs);
}

#[test]
fn a_segment_that_is_missing_costs_its_jobs_and_no_others() {
    let (folder, mut jobs) = filled();
    let queue = folder.path().join("queue");
    let gone = segments(&queue)[2].clone();
    let bytes = std::fs::read(&gone).unwrap();
    jobs.retain(|_, body| !bytes.windows(body.len()).any(|window| window == body.as_bytes()));
    std::fs::remove_file(&gone).unwrap();
    assert!(!verify(&queue).unwrap().damage.is_empty());
    let done = repair(&queue).unwrap();
    assert_eq!(done.jobs_whole, jobs.len() as u64, "{done:?}");
    assert_eq!(drain(folder.path()), jobs);
}

#[test]
fn random_bits_never_cost_more_than_what_is_told() {
    for seed in 0..12 {
        let (folder, jobs) = filled();
        let queue = folder.path().join("queue");
        let mut rng = stdx::rng::Rng::with_seed(seed);
        let all = segments(&queue);
        for _ in 0..=seed % 3 {
            // Behind the header; the last segment's end may be torn, which is no damage.
            let path = &all[rng.usize(..all.len() - 1)];
            let mut bytes = std::fs::read(path).unwrap();
            let at = rng.usize(4160..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
            std::fs::write(path, bytes).unwrap();
        }
        let seen = preview(&queue).unwrap();
        let done = repair(&queue).unwrap();
        assert_eq!(seen.jobs_whole, done.jobs_whole, "seed {seed}");
        let left = drain(folder.path());
        assert_eq!(left.len() as u64, done.jobs_whole, "seed {seed}: {done:?}");
        assert!(left.iter().all(|(id, body)| jobs[id] == *body), "seed {seed}");
        let lost = (jobs.len() - left.len()) as u64;
        assert!(lost <= done.records_lost.max(done.jobs_lost.len() as u64), "seed {seed}: {lost} of {done:?}");
    }
}
