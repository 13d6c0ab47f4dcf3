//! The output of instances goes into the log plane, and is acknowledged to their init processes once it is on disk.

use std::sync::Arc;

use bytes::Bytes;
use deploy::{OutputSink, SinkError, Speaker, Wait};
use logs::{Level, NotDurable, Record, Refused, Source, Stream};
use runtime::{Dropped, Line, Output};

/// The log plane as deploy sees it.
pub(crate) struct InstanceLog(pub(crate) logs::Handle);

impl OutputSink for InstanceLog {
    fn ingest(&self, from: Arc<Speaker>, lines: Vec<Output>) -> Wait<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let records = lines.into_iter().map(|output| record(&from, output)).collect();
            let ticket = self.0.ingest(records).map_err(refused)?;
            ticket.durable().await.map_err(not_durable)
        })
    }

    fn last_seq(&self, from: Arc<Speaker>) -> Wait<'_, Option<u64>> {
        Box::pin(async move { self.0.last_origin_seq(&from.scope, &from.instance.to_string()) })
    }
}

fn record(from: &Speaker, output: Output) -> Record {
    let seq = output.last_seq();
    let mut record = match output {
        Output::Line(line) => of_line(from, line),
        Output::Dropped(dropped) => of_dropped(dropped),
    };
    record.scope = Some(from.scope.clone());
    record.process = Some(from.instance.process.clone());
    record.instance = Some(from.instance.to_string());
    record.release = Some(from.release);
    record.origin_seq = Some(seq);
    record
}

fn of_line(from: &Speaker, line: Line) -> Record {
    let stream = match line.stream {
        runtime::Stream::Stdout => Stream::Stdout,
        runtime::Stream::Stderr => Stream::Stderr,
    };
    let mut record = Record::line(line.time, from.scope.clone(), stream, Bytes::from(line.bytes));
    record.cut_from = line.cut_from;
    record
}

/// A loss is said where it happened, in the stream itself.
fn of_dropped(dropped: Dropped) -> Record {
    let message = format!("dropped {} lines of output: the log store had no room for them", dropped.lines);
    Record::text(dropped.time, Source::App, Level::Warning, message)
        .with("dropped_lines", dropped.lines)
        .with("dropped_bytes", dropped.bytes)
}

fn refused(refused: Refused) -> SinkError {
    match refused {
        Refused::Busy { .. } => SinkError::Busy(refused.to_string()),
        Refused::DiskFull => SinkError::Full(refused.to_string()),
        Refused::Failed | Refused::Stopped => SinkError::Failed(refused.to_string()),
    }
}

/// Lines that may yet be written are offered again all the same: the store knows them by their `origin_seq`.
fn not_durable(error: NotDurable) -> SinkError {
    match error {
        NotDurable::DiskFull => SinkError::Full(error.to_string()),
        NotDurable::Failed => SinkError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_that_is_behind_may_hold_up_output() {
        assert!(matches!(refused(Refused::Busy { pending: 9, max: 8 }), SinkError::Busy(_)));
        assert!(matches!(refused(Refused::DiskFull), SinkError::Full(_)));
        assert!(matches!(not_durable(NotDurable::DiskFull), SinkError::Full(_)));
        assert!(matches!(refused(Refused::Stopped), SinkError::Failed(_)));
    }
}
