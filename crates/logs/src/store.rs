//! The writer's core: takes records, gives each its number, and knows what is due. It does no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value};
use stdx::clock::{Mono, Wall};
use wal::{AppendError, Batch, Lsn, Poison};

use crate::checkpoint::Checkpoints;
use crate::error::NotDurable;
use crate::format::{KIND_RECORD, View};
use crate::inbox::{Answer, DropCause, Incoming};
use crate::level::Level;
use crate::live::Entry;
use crate::origins::OriginLine;
use crate::pace::{Due, Pace};
use crate::parse::{Parsed, char_boundary, parse};
use crate::record::{Body, Record};
use crate::shared::{Counters, Shared};

pub(crate) struct Store {
    shared: Arc<Shared>,
    wal: wal::Writer,
    pace: Pace,
    /// Senders that wait until the record with this number is on disk, in order.
    waiting: VecDeque<(u64, Answer)>,
    message_bytes_max: usize,
    buffer: Vec<u8>,
    /// Appended in this turn, with their segments.
    fresh: Vec<(Entry, u64)>,
    checkpoints: Checkpoints,
}

impl Store {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wal: wal::Writer,
        pace: Pace,
        payload_bytes_max: usize,
        checkpoints: Checkpoints,
    ) -> Store {
        // Message and fields must fit a segment, each with the same limit.
        let fits = payload_bytes_max.saturating_sub(1024) / 2;
        let message_bytes_max = (shared.config().message_bytes_max as usize).min(fits);
        let (waiting, buffer, fresh) = (VecDeque::new(), Vec::new(), Vec::new());
        Store { shared, wal, pace, waiting, message_bytes_max, buffer, fresh, checkpoints }
    }

    /// Stores what came in; it is visible when this returns.
    pub(crate) fn take(&mut self, incoming: Vec<Incoming>, now: Mono) -> Result<(), Poison> {
        for incoming in incoming {
            match incoming {
                Incoming::Offered(record) => self.append(record)?,
                Incoming::Awaited { records, answer } => {
                    for record in records {
                        self.append(record)?;
                    }
                    // Repetitions may stand before this and not be durable yet, so all before is awaited.
                    self.waiting.push_back((self.wal.next_lsn().0 - 1, answer));
                    self.pace.awaited(now);
                }
            }
        }
        self.publish(now);
        Ok(())
    }

    /// Says in the stream what was dropped.
    pub(crate) fn say_drops(&mut self, now: Mono, time: Wall) -> Result<(), Poison> {
        for (stream, count) in self.shared.inbox.take_drops() {
            let message = format!("dropped {count} records ({})", stream.cause.words());
            let mut record = Record::text(time, stream.source, Level::Warning, message).with("dropped", count);
            record.scope = stream.scope;
            self.store(&record, &parsed(&record.body, self.message_bytes_max), 0)?;
        }
        self.publish(now);
        Ok(())
    }

    /// When the next batch should be committed.
    pub(crate) fn due(&self, now: Mono) -> Due {
        self.pace.due(now, self.wal.pending_bytes())
    }

    /// The next batch, if there is anything.
    pub(crate) fn batch(&mut self, now: Mono) -> Option<Batch> {
        let batch = self.wal.take_batch();
        self.pace.committing(now, self.wal.pending_bytes() > 0);
        if batch.is_none() {
            self.answer_up_to(self.wal.next_lsn().0 - 1);
        }
        batch
    }

    /// A batch is on disk.
    pub(crate) fn committed(&mut self, done: wal::Committed) {
        let cost = self.shared.live().durable(done.durable.0);
        self.shared.inbox.release(cost);
        Counters::add(&self.shared.counters.commits, 1);
        self.answer_up_to(done.durable.0);
        self.wal.recycle(done.buffer);
    }

    /// Removes the oldest segments beyond what is to be kept.
    pub(crate) fn retire(&mut self) {
        let segments = self.shared.disk.list();
        let mut bytes: u64 = segments.iter().map(|segment| u64::from(segment.bytes)).sum();
        let mut floor = None;
        let retention_bytes = self.shared.config().retention_bytes;
        for pair in segments.windows(2) {
            if bytes <= retention_bytes {
                break;
            }
            bytes -= u64::from(pair[0].bytes);
            floor = Some(pair[1].number);
        }
        let Some(floor) = floor else { return };
        self.wal.remove_segments_below(floor);
        let first_seq = {
            let mut live = self.shared.live();
            live.forget_below(floor);
            live.index.first_seq()
        };
        if let Some(first_seq) = first_seq {
            self.shared.origins().forget_below(first_seq);
        }
    }

    /// The checkpoint that may be written after `durable`. One is taken when the log has gone over to another segment, and
    /// at the end.
    pub(crate) fn checkpoint(&mut self, durable: Lsn, is_end: bool) -> Option<Vec<u8>> {
        let segment = self.wal.segment();
        if is_end || self.checkpoints.is_due(segment) {
            let lsn = Lsn(self.wal.next_lsn().0 - 1);
            self.checkpoints.take(segment, lsn, &self.shared.live().index, &self.shared.origins());
        }
        self.checkpoints.ready(durable)
    }

    /// Tells all who wait that their records are not durable.
    pub(crate) fn disappoint(&mut self, why: NotDurable) {
        for (_, answer) in self.waiting.drain(..) {
            tell(answer, Err(why));
        }
    }

    fn answer_up_to(&mut self, durable: u64) {
        while let Some((_, answer)) = self.waiting.pop_front_if(|(seq, _)| *seq <= durable) {
            tell(answer, Ok(()));
        }
    }

    fn append(&mut self, record: Record) -> Result<(), Poison> {
        let cost = record.cost();
        if self.is_repeated(&record) {
            Counters::add(&self.shared.counters.repeated, 1);
            self.shared.inbox.release(cost);
            return Ok(());
        }
        let parsed = parsed(&record.body, self.message_bytes_max);
        self.store(&record, &parsed, cost)
    }

    fn is_repeated(&self, record: &Record) -> bool {
        let (Some(scope), Some(instance), Some(seq)) = (&record.scope, &record.instance, record.origin_seq) else {
            return false;
        };
        self.shared.origins().has(scope, instance, OriginLine { origin_seq: seq, time: record.time })
    }

    fn store(&mut self, record: &Record, parsed: &Parsed, cost: u64) -> Result<(), Poison> {
        let fields = fields_text(&parsed.fields, self.message_bytes_max);
        self.buffer.clear();
        view(record, parsed, &fields).encode(&mut self.buffer);
        let (lsn, at) = match self.wal.append(KIND_RECORD, &[&self.buffer]) {
            Ok(appended) => appended,
            Err(AppendError::Poisoned(cause)) => return Err(cause),
            Err(e) => {
                let is_full = matches!(e, AppendError::Full { .. });
                let cause = if is_full { DropCause::QueueFull } else { DropCause::TooLong };
                self.shared.inbox.count_drop(record.source, record.scope.clone(), cause);
                self.shared.inbox.release(cost);
                return Ok(());
            }
        };
        if let (Some(scope), Some(instance), Some(seq)) = (&record.scope, &record.instance, record.origin_seq) {
            let line = OriginLine { origin_seq: seq, time: record.time };
            self.shared.origins().note(scope, instance, line, lsn.0);
        }
        let entry = Entry { time: record.time, seq: lsn.0, cost, payload: self.buffer.as_slice().into() };
        self.fresh.push((entry, at.segment));
        Ok(())
    }

    fn publish(&mut self, now: Mono) {
        if self.fresh.is_empty() {
            return;
        }
        self.pace.appended(now);
        let bytes = self.fresh.iter().map(|(entry, _)| entry.payload.len() as u64).sum();
        Counters::add(&self.shared.counters.records, self.fresh.len() as u64);
        Counters::add(&self.shared.counters.bytes, bytes);
        let mut live = self.shared.live();
        for (entry, segment) in self.fresh.drain(..) {
            live.appended(entry, segment);
        }
    }
}

/// A sender that no longer waits for the answer is content without it.
fn tell(answer: Answer, result: Result<(), NotDurable>) {
    if answer.send(result).is_err() {
        tracing::trace!(target: "logs", "nobody waits for an answer");
    }
}

/// What a body says; a text is held to the same limit as a line.
fn parsed(body: &Body, message_bytes_max: usize) -> Parsed {
    match body {
        Body::Line(bytes) => parse(bytes, message_bytes_max),
        Body::Text { message, fields } => {
            let kept = char_boundary(message.as_bytes(), message_bytes_max);
            Parsed {
                message: message[..kept].to_owned(),
                fields: fields.clone(),
                cut_from: (kept < message.len()).then_some(message.len() as u64),
                ..Parsed::default()
            }
        }
    }
}

/// The fields as JSON text; those that are too long together are left out, which is said in their place.
fn fields_text(fields: &Map<String, Value>, bytes_max: usize) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let text = serde_json::to_string(fields).unwrap_or_default();
    if text.len() <= bytes_max { text } else { format!(r#"{{"fields_left_out_bytes":{}}}"#, text.len()) }
}

fn view<'a>(record: &'a Record, parsed: &'a Parsed, fields: &'a str) -> View<'a> {
    View {
        app: record.scope.as_ref().map(|scope| scope.app.as_str()),
        env: record.scope.as_ref().map(|scope| scope.env.as_str()),
        process: record.process.as_ref().map(|process| process.as_str()),
        instance: record.instance.as_deref(),
        release: record.release.map(|release| release.0),
        stream: record.stream,
        level: parsed.level.unwrap_or(record.level),
        trace: parsed.trace.or(record.trace),
        span: parsed.span.or(record.span),
        origin_seq: record.origin_seq,
        message: &parsed.message,
        fields,
        cut_from: record.cut_from.or(parsed.cut_from),
        replaced: parsed.replaced,
        ..View::new(record.time, record.source)
    }
}
