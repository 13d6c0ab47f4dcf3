//! Any bytes as a queue's log: it starts with what it can believe, or refuses; it never panics.
//!
//! The first byte says where they go: in the place of the first segment, behind its head, or into a record that is whole.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use queue::config::Config;
use queue::{Deps, NoSink, NoTokens};
use stdx::clock::SystemClock;
use stdx::io::Io;
use testkit::FakeDisk;

fuzz_target!(|bytes: &[u8]| {
    let Some((way, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = start(&disk, folder.path()).expect("an empty folder makes a queue");
    runtime.block_on(handle.stop());
    drop(handle);
    let log = folder.path().join("queue/log");
    match way % 3 {
        0 => overwrite(&disk, &log, 0, bytes),
        1 => overwrite(&disk, &log, 64, bytes),
        _ => append(&disk, &log, bytes),
    }
    if let Ok(handle) = start(&disk, folder.path()) {
        let rows = runtime.block_on(handle.rows()).expect("a queue that has started says what is in it");
        assert!(!rows.is_empty(), "there always is a default tube");
        runtime.block_on(handle.stop());
    }
});

fn start(disk: &FakeDisk, folder: &Path) -> Result<queue::Handle, queue::StartError> {
    let config = Config { disk_reserve_bytes: 0, segment_bytes_max: 1 << 20, unix_socket: None, ..Config::default() };
    let deps = Deps { clock: SystemClock::shared(), tokens: Arc::new(NoTokens), sink: Arc::new(NoSink), sockets: Default::default() };
    queue::start_on(disk.clone(), config, folder.join("queue"), deps)
}

/// Puts the bytes into every segment from `at` on.
fn overwrite(disk: &FakeDisk, log: &Path, at: usize, bytes: &[u8]) {
    for name in disk.list(log).unwrap().into_iter().filter(|name| name.ends_with(".wal")) {
        let path = log.join(name);
        let mut contents = disk.contents(&path).unwrap();
        let end = contents.len().max(at + bytes.len());
        contents.resize(end, 0);
        contents[at..at + bytes.len()].copy_from_slice(bytes);
        disk.place(&path, contents);
    }
}

/// Records with right checksums that nobody wrote: a byte for the kind, one for the length, and so many bytes.
fn append(disk: &FakeDisk, log: &Path, mut bytes: &[u8]) {
    let mut opened = wal::open(disk.clone(), wal::Config::new(log.to_path_buf()), &mut |_| {}).unwrap();
    while let [kind, len, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        opened.writer.append(kind % 64, &[payload]).unwrap();
        bytes = rest;
    }
    while let Some(batch) = opened.writer.take_batch() {
        opened.committer.commit(batch).unwrap();
    }
}
