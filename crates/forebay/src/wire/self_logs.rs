//! What the node says of itself becomes log records.

use logs::{Level, Record, Source};

use crate::self_log::{Said, SelfLog};

/// From now on the node's own log goes into the log plane too.
pub(crate) fn connect(log: &SelfLog, logs: &logs::Handle) {
    let logs = logs.clone();
    log.send_on(std::sync::Arc::new(move |said| {
        // false: it was dropped and counted; node.log has it.
        logs.offer(record(said));
    }));
}

fn record(said: Said) -> Record {
    let level = match said.level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    };
    said.fields.into_iter().fold(Record::text(said.time, Source::Node, level, said.message), |record, (key, value)| {
        record.with(key, value)
    })
}
