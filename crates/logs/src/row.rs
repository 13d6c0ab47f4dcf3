//! From a record's bytes to the row that the admin API shows.

use control::wire::LogRow;
use serde_json::{Map, Value};
use stdx::clock::Wall;
use stdx::ids::ReleaseNo;

use crate::format::View;
use crate::level::Level;
use crate::record::Source;

/// The row of record `seq`. What was done to the line is said in it: `cut_from_bytes`, `replaced_bytes`.
pub(crate) fn row(seq: u64, view: &View<'_>) -> LogRow {
    let mut message = view.message.to_owned();
    let mut fields: Map<String, Value> = serde_json::from_str(view.fields).unwrap_or_default();
    if let Some(bytes) = view.cut_from {
        message.push_str(&format!(" ... (cut, {bytes} bytes)"));
        fields.insert("cut_from_bytes".into(), bytes.into());
    }
    if view.replaced > 0 {
        fields.insert("replaced_bytes".into(), view.replaced.into());
    }
    LogRow {
        time_ns: view.time.0,
        seq,
        source: view.source.map_or("unknown", Source::name).into(),
        app: view.app.and_then(|name| name.parse().ok()),
        environment: view.env.and_then(|name| name.parse().ok()),
        process: view.process.and_then(|name| name.parse().ok()),
        instance: view.instance.map(str::to_owned),
        release: view.release.map(ReleaseNo),
        stream: view.stream.map(|stream| stream.name().into()),
        level: view.level.name().into(),
        trace: view.trace.map(|trace| trace.to_string()),
        span: view.span.map(|span| span.to_string()),
        message,
        fields,
    }
}

/// The row that tells a slow tail what it has missed; it takes the number of the row before it.
pub(crate) fn skipped(time: Wall, seq: u64, records: u64) -> LogRow {
    let message = format!("skipped {records} records (this tail is too slow)");
    let mut row = row(seq, &View { level: Level::Warning, message: &message, ..View::new(time, Source::Node) });
    row.fields.insert("skipped".into(), records.into());
    row
}
