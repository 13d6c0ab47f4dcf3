//! A queue whose disk is full, or fails: real file systems, mounted for the test. Where that is not allowed the test says
//! so and is skipped.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::queue::QueueAlone;
use crate::rig::{Home, eventually};

/// A file system that is unmounted with its value.
struct Mounted(PathBuf);

impl Mounted {
    fn mount(at: PathBuf, words: &[&str]) -> Option<Mounted> {
        fs::create_dir(&at).unwrap();
        if run("mount", &[words, &[at.to_str().unwrap()]].concat()) {
            return Some(Mounted(at));
        }
        eprintln!("skipped: nothing can be mounted here");
        None
    }

    fn in_memory(home: &Home, mib: u32) -> Option<Mounted> {
        Mounted::mount(home.path("memory"), &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !run("umount", &[self.0.to_str().unwrap()]) {
            // Whoever still has a file open loses it with the test.
            run("umount", &["--lazy", self.0.to_str().unwrap()]);
        }
    }
}

fn run(program: &str, words: &[&str]) -> bool {
    Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
}

/// Takes all the space there is.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut bytes = 1 << 20;
    while bytes > 0 {
        if file.write_all(&vec![0; bytes]).is_err() {
            bytes /= 2;
        }
    }
}

#[test]
fn on_a_full_disk_puts_are_refused_deletes_work_and_nothing_is_lost() {
    let home = Home::new();
    let Some(disk) = Mounted::in_memory(&home, 256) else { return };
    let queue = QueueAlone::serve(&home, &disk.0.join("data"));
    let mut client = queue.connect();
    let body = |n: usize| format!("{n}-{}", "x".repeat(60_000));
    let mut put = Vec::new();
    let refused = loop {
        match client.put(&body(put.len())).unwrap() {
            Ok(id) => put.push(id),
            Err(said) => break said,
        }
    };
    assert_eq!(refused, "OUT_OF_MEMORY", "at the mark, not at the end of the disk");
    assert!(put.len() > 100, "{}", put.len());

    let others = disk.0.join("others");
    fill(&others);
    assert_eq!(client.put("one more").unwrap().unwrap_err(), "OUT_OF_MEMORY");
    for id in put.drain(..100) {
        assert_eq!(client.ask(&format!("delete {id}")).unwrap(), "DELETED");
    }
    let (id, taken) = client.reserve().unwrap().unwrap();
    assert_eq!((id, taken), (put[0], body(100)));
    assert_eq!(client.ask(&format!("bury {id} 0")).unwrap(), "BURIED");
    queue.kill();

    let queue = QueueAlone::serve(&home, &disk.0.join("data"));
    let mut client = queue.connect();
    fs::remove_file(others).unwrap();
    let done = put.len() * 3 / 5;
    for id in put.drain(..done) {
        assert_eq!(client.ask(&format!("delete {id}")).unwrap(), "DELETED");
    }
    let again = eventually("there is room again", || client.put("again").unwrap().ok());
    assert!(again > *put.last().unwrap());
    for (n, expected) in put.iter().enumerate() {
        let (id, taken) = client.reserve().unwrap().unwrap();
        assert_eq!((id, taken), (*expected, body(100 + done + n)));
        assert_eq!(client.ask(&format!("delete {id}")).unwrap(), "DELETED");
    }
    assert_eq!(client.reserve().unwrap(), Some((again, "again".into())));
}

/// Fills a disk to the mark, deletes half of the jobs, and puts as much again as is free for sure.
fn room_after_deleting(which: impl Fn(usize, usize) -> bool) {
    let home = Home::new();
    let Some(disk) = Mounted::in_memory(&home, 256) else { return };
    let queue = QueueAlone::serve(&home, &disk.0.join("data"));
    let mut client = queue.connect();
    let body = |n: usize| format!("{n}-{}", "x".repeat(60_000));
    let mut put = Vec::new();
    while let Ok(id) = client.put(&body(put.len())).unwrap() {
        put.push(id);
    }
    assert!(put.len() > 2_000, "{} jobs of 60 kB on a disk of 256 MiB", put.len());
    let mut left = Vec::new();
    for (n, id) in put.iter().enumerate() {
        if which(n, put.len()) {
            assert_eq!(client.ask(&format!("delete {id}")).unwrap(), "DELETED");
        } else {
            left.push((*id, body(n)));
        }
    }
    for n in 0..put.len() / 4 {
        let id = eventually("there is room again", || client.put(&body(n)).unwrap().ok());
        left.push((id, body(n)));
    }
    queue.kill();
    let queue = QueueAlone::serve(&home, &disk.0.join("data"));
    let mut client = queue.connect();
    for expected in left {
        assert_eq!(client.reserve().unwrap(), Some(expected.clone()));
        assert_eq!(client.ask(&format!("delete {}", expected.0)).unwrap(), "DELETED");
    }
    assert_eq!(client.reserve().unwrap(), None);
}

#[test]
fn a_full_disk_takes_jobs_again_when_the_oldest_half_is_deleted() {
    room_after_deleting(|n, of| n < of / 2);
}

#[test]
fn a_full_disk_takes_jobs_again_when_the_newest_half_is_deleted() {
    room_after_deleting(|n, of| n >= of / 2);
}

#[test]
fn a_full_disk_takes_jobs_again_when_every_second_job_is_deleted() {
    room_after_deleting(|n, _| n % 2 == 0);
}

/// A file system of 64 MiB in an image for which there is only so much memory: what is beyond is accepted when it is
/// written, and fails when it is synced.
#[test]
fn a_queue_alone_whose_sync_fails_acknowledges_nothing_more_and_ends() {
    let home = Home::new();
    let Some(memory) = Mounted::in_memory(&home, 24) else { return };
    let image = memory.0.join("image");
    File::create(&image).unwrap().set_len(400 << 20).unwrap();
    if !run("mkfs.ext4", &["-q", "-O", "^has_journal", image.to_str().unwrap()]) {
        return eprintln!("skipped: there is no mkfs.ext4");
    }
    let Some(disk) = Mounted::mount(home.path("disk"), &["-o", "loop,nodelalloc", image.to_str().unwrap()]) else {
        return;
    };
    let data = disk.0.join("data");
    let mut queue = QueueAlone::serve(&home, &data);
    let mut client = queue.connect();
    let mut acknowledged = 0;
    let last = loop {
        match client.put(&"x".repeat(60_000)) {
            Ok(Ok(_)) => acknowledged += 1,
            Ok(Err(said)) => break Some(said),
            // It may end before it has said so.
            Err(_) => break None,
        }
        assert!(acknowledged < 2_000, "more was acknowledged than the disk holds");
    };
    assert!(last.as_deref().is_none_or(|said| said == "INTERNAL_ERROR"), "{last:?}");
    let status = eventually("the queue ends", || queue.child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1), "{}", home.said());
    assert!(home.said().contains("code: plane_failed"), "{}", home.said());
    assert!(acknowledged > 10);
}
