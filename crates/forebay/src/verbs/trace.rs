//! `forebay trace ID`: the whole story of one trace.

use std::time::Duration;

use control::error::{ApiError, Kind};
use control::wire::{Listing, LogRow};
use stdx::trace::{TraceContext, TraceId};

use crate::args::{Global, TraceArgs};
use crate::output::{self, Done};

/// How long the router's record of a request may take to be there.
const ROUTER_RECORD: Duration = Duration::from_millis(200);

pub(super) async fn run(global: &Global, args: TraceArgs) -> Done {
    let id = read_id(&args.id)?;
    let rows = story_of(global, id).await?;
    if global.json {
        return Ok(output::json_line(&rows)?);
    }
    let begin = rows.items.first().map_or(0, |row| row.time_ns);
    output::line(&format!("trace {id}, {}", output::local_time(begin)))?;
    for row in &rows.items {
        let offset_ms = row.time_ns.saturating_sub(begin) / 1_000;
        let who = super::logs::speaker(row);
        output::line(&format!("{:>10.3} ms  {who:<12} {}", offset_ms as f64 / 1_000.0, super::logs::story(row)))?;
    }
    Ok(())
}

/// The records of a trace. The router's own comes a moment after its reply: when it is missing, it is asked for again.
pub(super) async fn story_of(global: &Global, id: TraceId) -> Result<Listing<LogRow>, ApiError> {
    let client = super::client(global)?;
    let path = format!("/v1/trace/{id}");
    let rows: Listing<LogRow> = client.get(&path).await?;
    if rows.items.iter().any(|row| row.source == "router") {
        return Ok(rows);
    }
    tokio::time::sleep(ROUTER_RECORD).await;
    client.get(&path).await
}

/// A trace id, or a whole `traceparent` out of which it is taken.
pub(super) fn read_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().or_else(|_| text.parse().map(|context: TraceContext| context.trace)).map_err(|_| {
        ApiError::new(Kind::Usage, "trace_id_malformed", format!("`{text}` is not a trace id"))
            .hint("give the 32 hex digits of the reply's Forebay-Trace header")
    })
}
