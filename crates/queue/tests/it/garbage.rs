//! Starting on files that nobody wrote: an answer, never a panic, and no job with another's body.

use std::path::Path;

use proptest::prelude::*;
use queue::config::Config;
use testkit::FakeDisk;

use crate::rig::{Client, block_on, config, deps};

const FOLDER: &str = "queue/log";

/// A log with jobs in every state, and the bodies by id.
fn written(folder: &Path) -> (FakeDisk, Vec<String>) {
    let disk = FakeDisk::new(1);
    let handle = queue::start_on(disk.clone(), config(), folder.join("queue"), deps()).unwrap();
    let mut client = Client::connect(handle.bound()[0]);
    let bodies: Vec<String> = (0..40).map(|n| format!("body {n} {}", "y".repeat(n * 5))).collect();
    for (n, body) in bodies.iter().enumerate() {
        client.ask(&format!("use tube-{}", n % 3));
        client.put(&format!("{} {} 60", n % 7, (n % 4) * 1000), body);
    }
    client.send(b"watch tube-0\r\nwatch tube-1\r\n");
    client.hear();
    client.hear();
    for n in 0..6 {
        let job = client.ask_all("reserve");
        let id = job.split(' ').nth(1).unwrap().to_owned();
        match n % 3 {
            0 => client.ask(&format!("bury {id} 5")),
            1 => client.ask(&format!("release {id} 9 1000")),
            _ => client.ask(&format!("delete {id}")),
        };
    }
    block_on(handle.stop());
    (disk, bodies)
}

/// Starts on what is there. Whatever is served has its own body.
fn start(disk: &FakeDisk, folder: &Path, bodies: &[String]) {
    let Ok(handle) = queue::start_on(disk.clone(), config(), folder.join("queue"), deps()) else { return };
    let mut client = Client::connect(handle.bound()[0]);
    for (id, body) in (1..).zip(bodies) {
        let found = client.ask_all(&format!("peek {id}"));
        if let Some((head, told)) = found.split_once('\n') {
            assert_eq!((head, told), (format!("FOUND {id} {}", body.len()).as_str(), body.as_str()));
        }
    }
    block_on(handle.stop());
}

#[derive(Clone, Debug)]
enum Harm {
    Flip { at: usize, bits: u8 },
    Cut { at: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Repeat { from: usize, len: usize },
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 1u8..).prop_map(|(at, bits)| Harm::Flip { at, bits }),
        any::<usize>().prop_map(|at| Harm::Cut { at }),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..300)).prop_map(|(at, bytes)| Harm::Insert { at, bytes }),
        (any::<usize>(), 1usize..2000).prop_map(|(from, len)| Harm::Repeat { from, len }),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    let place = |at: usize, bytes: &Vec<u8>| at % bytes.len().max(1);
    match harm {
        Harm::Flip { at, bits } => {
            let at = place(*at, bytes);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        Harm::Cut { at } => bytes.truncate(place(*at, bytes)),
        Harm::Insert { at, bytes: new } => {
            let at = place(*at, bytes);
            bytes.splice(at..at, new.iter().copied());
        }
        Harm::Repeat { from, len } => {
            let from = place(*from, bytes);
            let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
            bytes.extend(piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn a_harmed_log_is_opened_or_refused(harms in prop::collection::vec(harm(), 1..5)) {
        let folder = tempfile::tempdir().unwrap();
        let (disk, bodies) = written(folder.path());
        let log = folder.path().join(FOLDER);
        for name in stdx::io::Io::list(&disk, &log).unwrap().into_iter().filter(|name| name.ends_with(".wal")) {
            let path = log.join(name);
            let mut bytes = disk.contents(&path).unwrap();
            // The file is as long as its segment may become; the records stand at its beginning.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used);
            harms.iter().for_each(|harm| apply(&mut bytes, harm));
            disk.place(&path, bytes);
        }
        start(&disk, folder.path(), &bodies);
    }

    /// Whole and in their places, but no records of ours.
    #[test]
    fn records_that_nobody_wrote_are_refused(records in prop::collection::vec((0u8..40, prop::collection::vec(any::<u8>(), 0..120)), 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let (disk, bodies) = written(folder.path());
        let log = wal::Config { segment_bytes_max: Config::default().segment_bytes_max, ..wal::Config::new(folder.path().join(FOLDER)) };
        let mut opened = wal::open(disk.clone(), log, &mut |_| {}).unwrap();
        for (kind, payload) in &records {
            opened.writer.append(*kind, &[payload]).unwrap();
        }
        while let Some(batch) = opened.writer.take_batch() {
            opened.committer.commit(batch).unwrap();
        }
        drop(opened);
        if let Ok(handle) = queue::start_on(disk.clone(), config(), folder.path().join("queue"), deps()) {
            let mut client = Client::connect(handle.bound()[0]);
            prop_assert!(client.stat("stats", "total-jobs").parse::<u64>().is_ok());
            block_on(handle.stop());
        }
        prop_assert_eq!(bodies.len(), 40);
    }
}
