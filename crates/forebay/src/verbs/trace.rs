//! `forebay trace ID`: the whole story of one trace.

use control::error::{ApiError, Kind};
use control::wire::{Listing, LogRow};
use stdx::trace::{TraceContext, TraceId};

use crate::args::{Global, TraceArgs};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: TraceArgs) -> Done {
    let id = read_id(&args.id)?;
    let rows: Listing<LogRow> = super::client(global)?.get(&format!("/v1/trace/{id}")).await?;
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

/// A trace id, or a whole `traceparent` out of which it is taken.
fn read_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().or_else(|_| text.parse().map(|context: TraceContext| context.trace)).map_err(|_| {
        ApiError::new(Kind::Usage, "trace_id_malformed", format!("`{text}` is not a trace id"))
            .hint("give the 32 hex digits of the reply's Forebay-Trace header")
    })
}
