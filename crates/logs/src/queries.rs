//! Running queries: each on a thread of its own while it scans, a few at once, so that neither the writer nor the admin
//! API waits for a disk. What comes after the scan of a `follow` needs no thread.

mod pipe;
mod running;

pub(crate) use running::Running;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use control::wire::LogRow;
use wal::ReadError;

use crate::error::QueryError;
use crate::format::View;
use crate::live::{Entry, Snapshot};
use crate::queries::pipe::{Message, PipeReader, PipeWriter};
use crate::query::Query;
use crate::row;
use crate::scan::Scan;
use crate::shared::{Shared, Slot};
use crate::sorted::{Pick, PickBody};
use crate::tail::{Tail, TailItem, TailReader};

/// Rows that travel together from the scan to its reader.
const ROWS_PER_MESSAGE: usize = 64;
/// Bytes of their records.
const BYTES_PER_MESSAGE: usize = 64 << 10;
/// A scan needs no more stack.
const STACK_BYTES: usize = 512 << 10;

/// The records that a query found, oldest first. Dropping it ends the query.
pub struct Rows {
    shared: Arc<Shared>,
    scan: Option<PipeReader>,
    buffer: VecDeque<LogRow>,
    tail: Option<TailReader>,
    last_seq: u64,
    _tail_slot: Option<Slot>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("last_seq", &self.last_seq).finish_non_exhaustive()
    }
}

/// Starts a query.
pub(crate) fn start(shared: &Arc<Shared>, query: Query) -> Result<Rows, QueryError> {
    if query.follow && shared.status.is_failed() {
        return Err(QueryError::PlaneFailed);
    }
    let tail_slot = if query.follow {
        let max = shared.config().tails_max;
        Some(shared.tails.take(max).ok_or(QueryError::TooManyTails { max })?)
    } else {
        None
    };
    let (writer, reader) = pipe::pipe(Arc::clone(&shared.clock));
    let slot = shared.running.enter(&writer, shared.config().queries_max)?;
    let of_thread = Arc::clone(shared);
    let work = move || {
        let _slot = slot;
        if let Err(e) = run(&of_thread, query, &writer) {
            writer.end_with(Message::Failed(e));
        }
    };
    thread::Builder::new().name("logs-query".into()).stack_size(STACK_BYTES).spawn(work).map_err(|e| {
        tracing::error!(target: "logs", error = %e, "cannot start the thread of a query");
        QueryError::Failed
    })?;
    Ok(Rows {
        shared: Arc::clone(shared),
        scan: Some(reader),
        buffer: VecDeque::new(),
        tail: None,
        last_seq: 0,
        _tail_slot: tail_slot,
    })
}

/// The query's thread: scan, and for a `follow` scan again what came meanwhile, until the rest is in memory and the tail
/// can join there.
fn run(shared: &Shared, query: Query, to: &PipeWriter) -> Result<(), QueryError> {
    let mut sender = Sender { shared, to, rows: Vec::new(), bytes: 0, failed: None };
    let snapshot = shared.live().snapshot(0);
    scan(shared, &query, 0, &snapshot, query.n, &mut sender)?;
    if !query.follow {
        return Ok(());
    }
    let mut seen = snapshot.end;
    let tail = Arc::new(Tail::new(query.clone(), shared.config().tail_records_max as usize));
    while to.is_wanted() {
        let joined = shared.live().join(seen, &tail);
        if let Some((missed, reader)) = joined {
            let end = missed.last().map_or(seen, |entry| entry.seq);
            let snapshot = Snapshot { segments: Vec::new(), on_disk: seen, recent: missed, end };
            scan(shared, &query, seen, &snapshot, None, &mut sender)?;
            to.end_with(Message::Tail(reader));
            return Ok(());
        }
        let snapshot = shared.live().snapshot(seen);
        scan(shared, &query, seen, &snapshot, None, &mut sender)?;
        seen = snapshot.end;
    }
    Ok(())
}

fn scan(
    shared: &Shared,
    query: &Query,
    after: u64,
    snapshot: &Snapshot,
    n: Option<u32>,
    sender: &mut Sender<'_>,
) -> Result<(), QueryError> {
    let to = sender.to;
    let scan = Scan { disk: &*shared.disk, query, after, snapshot, is_wanted: &|| to.is_wanted() };
    let mut out = |pick| sender.take(pick);
    match n {
        Some(n) => scan.last(n.min(Query::N_MAX) as usize, &mut out)?,
        None => scan.oldest_first(&mut out)?,
    }
    match sender.failed.take() {
        Some(e) => Err(e.into()),
        None => {
            sender.flush();
            Ok(())
        }
    }
}

/// Makes rows of picks and sends them in handfuls.
struct Sender<'a> {
    shared: &'a Shared,
    to: &'a PipeWriter,
    rows: Vec<LogRow>,
    bytes: usize,
    failed: Option<ReadError>,
}

impl Sender<'_> {
    fn take(&mut self, pick: Pick) -> ControlFlow<()> {
        match &pick.body {
            PickBody::Held(payload) => self.add(pick.seq, payload),
            PickBody::OnDisk(at) => {
                let mut payload = Vec::new();
                match self.shared.disk.read(*at, &mut payload) {
                    Ok(()) => self.add(pick.seq, &payload),
                    // Retention was faster.
                    Err(ReadError::NoSegment { .. }) => {}
                    Err(e) => {
                        self.failed = Some(e);
                        return ControlFlow::Break(());
                    }
                }
            }
        }
        if self.rows.len() >= ROWS_PER_MESSAGE || self.bytes >= BYTES_PER_MESSAGE {
            self.flush();
        }
        if self.to.is_wanted() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn add(&mut self, seq: u64, payload: &[u8]) {
        if let Ok(view) = View::decode(payload) {
            self.rows.push(row::row(seq, &view));
            self.bytes += payload.len();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            self.to.send(Message::Rows(rows));
        }
    }
}

impl Rows {
    /// The next row; `None` at the end, which a `follow` reaches only when the plane stops.
    ///
    /// # Errors
    /// When the query cannot go on, as a `follow` of a plane that has failed; there are no more rows then.
    pub async fn next(&mut self) -> Option<Result<LogRow, QueryError>> {
        loop {
            if let Some(row) = self.ready() {
                return Some(Ok(row));
            }
            if let Some(scan) = &mut self.scan {
                match scan.next().await {
                    Some(Message::Rows(rows)) => self.buffer.extend(rows),
                    Some(Message::Tail(tail)) => self.tail = Some(tail),
                    Some(Message::Failed(e)) => {
                        self.scan = None;
                        return Some(Err(e));
                    }
                    None => self.scan = None,
                }
                continue;
            }
            let item = self.tail.as_mut()?.next().await;
            match item.map(|item| self.tail_row(&item)) {
                Some(Some(row)) => return Some(Ok(row)),
                Some(None) => {}
                None => {
                    self.tail = None;
                    if self.shared.status.is_failed() {
                        return Some(Err(QueryError::PlaneFailed));
                    }
                }
            }
        }
    }

    /// The next row if it is there already.
    pub fn ready(&mut self) -> Option<LogRow> {
        if let Some(row) = self.buffer.pop_front() {
            self.last_seq = row.seq;
            return Some(row);
        }
        if self.scan.is_some() {
            return None;
        }
        let item = self.tail.as_mut()?.try_next()?;
        self.tail_row(&item)
    }

    /// All rows, for a query that ends.
    ///
    /// # Errors
    /// The first error of the query.
    pub async fn collect(mut self) -> Result<Vec<LogRow>, QueryError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await {
            rows.push(row?);
        }
        Ok(rows)
    }

    fn tail_row(&mut self, item: &TailItem) -> Option<LogRow> {
        match item {
            TailItem::Skipped(records) => Some(row::skipped(self.shared.clock.wall(), self.last_seq, *records)),
            TailItem::Record(Entry { seq, payload, .. }) => {
                self.last_seq = *seq;
                Some(row::row(*seq, &View::decode(payload).ok()?))
            }
        }
    }
}
