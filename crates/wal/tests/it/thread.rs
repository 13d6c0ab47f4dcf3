//! The thread that commits.

use std::sync::mpsc;

use testkit::{Call, FakeDisk};
use wal::{CommitError, CommitThread, Opened, Poison, SubmitError};

use crate::rig::{Log, payloads};

#[test]
fn one_batch_may_wait_and_a_third_is_given_back() {
    let disk = FakeDisk::new(1);
    let Opened { mut writer, committer, .. } = Log::open(&disk).opened;
    let (started, has_started) = mpsc::sync_channel(64);
    let (go, may_go) = mpsc::sync_channel::<()>(1);
    let thread = CommitThread::spawn("test", committer, move |result| {
        started.send(result.unwrap().durable.0).unwrap();
        may_go.recv().unwrap();
    })
    .unwrap();
    let mut batch = || {
        writer.append(1, &[b"x"]).unwrap();
        writer.take_batch().unwrap()
    };
    thread.submit(batch()).unwrap();
    assert_eq!(has_started.recv(), Ok(1));
    thread.submit(batch()).unwrap();
    assert!(matches!(thread.submit(batch()), Err(SubmitError::Busy(_))));
    go.send(()).unwrap();
    go.send(()).unwrap();
    thread.stop();
    assert_eq!(has_started.iter().collect::<Vec<_>>(), [2], "what was taken is committed before the thread ends");
}

#[test]
fn a_panic_in_the_committer_stops_the_log() {
    let disk = FakeDisk::new(1);
    let Opened { mut writer, committer, .. } = Log::open(&disk).opened;
    let (results, done) = mpsc::sync_channel(64);
    let thread = CommitThread::spawn("test", committer, move |result| results.send(result).unwrap()).unwrap();
    writer.append(1, &[b"left out"]).unwrap();
    drop(writer.take_batch());
    for _ in 0..2 {
        if writer.append(1, &[b"out of order"]).is_err() {
            break;
        }
        thread.submit(writer.take_batch().unwrap()).unwrap();
        let Err(CommitError::Poisoned(Poison::Panicked(text))) = done.recv().unwrap() else { panic!() };
        assert!(text.contains("in the order they were taken"), "{text}");
    }
    assert!(writer.append(1, &[b"more"]).is_err());
}

#[test]
fn a_failure_while_cleaning_up_is_told() {
    let disk = FakeDisk::new(1);
    let mut log = Log::open(&disk);
    log.add(&payloads(60));
    let Opened { mut writer, committer, .. } = log.opened;
    let (results, done) = mpsc::sync_channel(64);
    let thread = CommitThread::spawn("test", committer, move |result| results.send(result).unwrap()).unwrap();
    disk.fail(Call::Unlink, 1);
    writer.remove_segments_below(2);
    thread.submit(writer.take_batch().unwrap()).unwrap();
    assert_eq!(done.recv().unwrap().unwrap().records, 0);
    let Err(CommitError::Poisoned(cause)) = done.recv().unwrap() else { panic!() };
    assert!(cause.to_string().contains("cannot remove"), "{cause}");
}
