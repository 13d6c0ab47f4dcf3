//! A plane on some disk, and what a test says to it in one line.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use control::wire::LogRow;
use logs::config::Config;
use logs::{Filter, Handle, Level, NotDurable, Query, Record, Rows, Source, Stream};
use stdx::clock::{SystemClock, Wall};
use stdx::ids::Scope;
use stdx::io::Io;

/// Small limits, so that tests reach them.
pub(crate) fn config() -> Config {
    Config {
        retention_bytes: 1 << 20,
        segment_bytes_max: 32 << 10,
        commit_interval_ms: 20,
        commit_awaited_interval_ms: 0,
        commit_bytes: 16 << 10,
        pending_bytes_max: 1 << 20,
        message_bytes_max: 4 << 10,
        disk_reserve_bytes: 0,
        ..Config::default()
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new("/data/logs").to_path_buf()
}

pub(crate) fn open<D: Io>(disk: &D, config: Config) -> Handle {
    logs::start_on(disk.clone(), config, folder(), SystemClock::shared()).unwrap()
}

/// Runs a future that waits for the plane's threads. One that waits too long fails the test.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("the plane hangs") })
}

pub(crate) fn scope() -> Scope {
    "shop".parse().unwrap()
}

pub(crate) fn text(time: u64, message: impl Into<String>) -> Record {
    Record::text(Wall(time), Source::Node, Level::Info, message)
}

/// Line `seq` of an instance, as its init process numbers it.
pub(crate) fn line(instance: &str, seq: u64) -> Record {
    let bytes = Bytes::from(format!("line {seq} of {instance}"));
    Record {
        instance: Some(instance.into()),
        origin_seq: Some(seq),
        ..Record::line(Wall(seq), scope(), Stream::Stdout, bytes)
    }
}

/// Ingests and waits until it is on disk.
pub(crate) fn put(logs: &Handle, records: Vec<Record>) -> Result<(), NotDurable> {
    logs.ingest(records).unwrap().durable_blocking()
}

pub(crate) fn find(logs: &Handle, query: Query) -> Vec<LogRow> {
    wait(logs.query(query).unwrap().collect()).unwrap()
}

pub(crate) fn all(logs: &Handle) -> Vec<LogRow> {
    find(logs, Query::default())
}

pub(crate) fn messages(logs: &Handle, q: &str) -> Vec<String> {
    let rows = find(logs, Query { filter: Filter::parse(q).unwrap(), ..Query::default() });
    rows.into_iter().map(|row| row.message).collect()
}

/// The next row of a query that goes on.
pub(crate) fn next(rows: &mut Rows) -> LogRow {
    wait(rows.next()).expect("the tail goes on").unwrap()
}

pub(crate) fn stop(logs: &Handle) {
    wait(logs.stop());
}
