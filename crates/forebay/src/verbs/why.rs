//! `forebay why TRACE`: what the router decided about one request, and when.

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use control::error::{ApiError, Kind};
use control::wire::Listing;
use serde_json::{Map, Value, json};
use stdx::trace::TraceId;

use super::trace::{read_id, story_of};
use crate::args::{Global, WhyArgs};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: WhyArgs) -> Done {
    let id = read_id(&args.id)?;
    let records = match &args.access_log {
        Some(path) => in_file(path, id)?,
        None => in_logs(global, id).await?,
    };
    if records.is_empty() {
        return Err(ApiError::new(Kind::NotFound, "no_such_request", format!("no request of trace {id} is known"))
            .hint("the log may be older or younger than it; `forebay trace` shows what else there is")
            .into());
    }
    if global.json {
        return Ok(output::json_line(&Listing::new(records))?);
    }
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        output::line(explain(record).trim_end())?;
    }
    Ok(())
}

/// The router's records of a trace out of the log store; a trace has several where an application asks another one.
async fn in_logs(global: &Global, id: TraceId) -> Result<Vec<Map<String, Value>>, ApiError> {
    let rows = story_of(global, id).await.map_err(without_logs)?.items.into_iter();
    let of_router = rows.filter(|row| row.source == "router" && row.fields.contains_key("duration_us"));
    Ok(of_router
        .map(|row| {
            let mut fields = row.fields;
            fields.insert("time_ns".into(), row.time_ns.into());
            fields.insert("trace".into(), id.to_string().into());
            if let Some(release) = row.release {
                fields.insert("release".into(), json!(release));
            }
            fields
        })
        .collect())
}

/// A router alone has no log store to ask.
fn without_logs(error: ApiError) -> ApiError {
    if error.code != "no_such_endpoint" {
        return error;
    }
    ApiError::new(Kind::NotFound, "no_log_store", "what answers here keeps no records of requests").hint(
        "a router alone writes them with `forebay router serve --access-log FILE`; then `forebay why TRACE --access-log FILE`",
    )
}

/// The same out of the access log of a router that runs alone, written as JSON lines.
fn in_file(path: &Path, id: TraceId) -> Result<Vec<Map<String, Value>>, ApiError> {
    let failed = |error: std::io::Error| {
        ApiError::new(Kind::Failed, "access_log_unreadable", format!("cannot read the access log: {error}"))
            .at(path.display().to_string())
    };
    let wanted = id.to_string();
    let mut records = Vec::new();
    for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
        let line = line.map_err(failed)?;
        // A line that another program wrote, or that is not yet whole, is no record.
        if line.contains(&wanted)
            && let Ok(Value::Object(fields)) = serde_json::from_str(&line)
            && fields.get("trace").and_then(Value::as_str) == Some(&wanted)
        {
            records.push(fields);
        }
    }
    Ok(records)
}

/// The whole story of a request, in the order of time.
fn explain(record: &Map<String, Value>) -> String {
    let mut story =
        format!("{} {}{}: {}", text(record, "method"), text(record, "host"), text(record, "path"), status(record));
    line(
        &mut story,
        "when",
        &record.get("time_ns").and_then(Value::as_u64).map(output::local_time).unwrap_or_default(),
    );
    line(&mut story, "from", &text(record, "client"));
    match record.get("route") {
        Some(_) => line(&mut story, "route", &format!("{}, to {}", text(record, "route"), text(record, "upstream"))),
        None => line(&mut story, "route", "none"),
    }
    for (_, what) in timeline(record) {
        story.push_str(&what);
    }
    if let Some(held) = number(record, "held_us") {
        line(&mut story, "held", &format!("{} because nobody was up", ms(held)));
    }
    if record.contains_key("cause") {
        line(&mut story, "cause", &text(record, "cause"));
    }
    let (head, all) =
        (number(record, "head_us").unwrap_or_default(), number(record, "duration_us").unwrap_or_default());
    line(&mut story, "times", &format!("{} to the reply's head, {} in all", ms(head), ms(all)));
    let bytes = |key| number(record, key).unwrap_or_default();
    line(&mut story, "bytes", &format!("{} in, {} out", bytes("request_bytes"), bytes("reply_bytes")));
    story
}

fn status(record: &Map<String, Value>) -> String {
    let status = number(record, "status").unwrap_or_default();
    let broken = if record.contains_key("broken_off") { ", broken off" } else { "" };
    match status {
        499 => "the client left before there was a reply".into(),
        status => format!("{status}{broken}"),
    }
}

/// Tries and events as lines, by the time at which they began.
fn timeline(record: &Map<String, Value>) -> Vec<(u64, String)> {
    let list = |key: &str| record.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all: Vec<(u64, String)> = Vec::new();
    for one in list("events") {
        let at = one.get("at_us").and_then(Value::as_u64).unwrap_or_default();
        all.push((at, at_line(at, one.get("text").and_then(Value::as_str).unwrap_or_default())));
    }
    for one in list("tries").iter().filter_map(Value::as_object) {
        let at = number(one, "at_us").unwrap_or_default();
        let kind = one.get("kind").and_then(Value::as_str).unwrap_or("try");
        let who = match one.get("instance") {
            Some(_) => format!("{} ({})", text(one, "instance"), text(one, "endpoint")),
            None => text(one, "endpoint"),
        };
        let outcome = number(one, "status").map_or_else(|| text(one, "outcome"), |status| format!("answered {status}"));
        let took = ms(number(one, "us").unwrap_or_default());
        all.push((at, at_line(at, &format!("{kind} at {who}: {outcome}, after {took}"))));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

fn at_line(at_us: u64, what: &str) -> String {
    format!("\n{:>11}  {}", format!("+{}", ms(at_us)), super::logs::printable(what))
}

fn line(story: &mut String, what: &str, text: &str) {
    // Writing into a String cannot fail.
    write!(story, "\n{what:>11}  {}", super::logs::printable(text)).unwrap_or_default();
}

fn text(record: &Map<String, Value>, key: &str) -> String {
    let text = record.get(key).and_then(Value::as_str).unwrap_or_default();
    super::logs::printable(text)
}

fn number(record: &Map<String, Value>, key: &str) -> Option<u64> {
    record.get(key)?.as_u64()
}

fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hedged_request_is_told_in_the_order_of_time() {
        let record = json!({
            "method": "GET", "host": "shop.example", "path": "/cart", "status": 200, "client": "192.0.2.7:5000",
            "route": "shop/production/", "upstream": "shop/production/web", "head_us": 25_400, "duration_us": 26_000,
            "request_bytes": 0, "reply_bytes": 512, "time_ns": 0,
            "tries": [
                { "endpoint": "127.0.0.1:1", "instance": "web.1", "outcome": "cancelled: another try answered first", "us": 25_000 },
                { "endpoint": "127.0.0.1:2", "instance": "web.2", "status": 200, "kind": "hedge", "at_us": 20_000, "us": 5_000 },
            ],
            "events": [{ "at_us": 1_000, "what": "waited", "text": "waited 1 ms" }],
        });
        let story = explain(record.as_object().unwrap());
        let lines: Vec<&str> = story.lines().map(str::trim).collect();
        assert_eq!(lines[0], "GET shop.example/cart: 200");
        assert_eq!(
            &lines[3..],
            [
                "route  shop/production/, to shop/production/web",
                "+0.0 ms  try at web.1 (127.0.0.1:1): cancelled: another try answered first, after 25.0 ms",
                "+1.0 ms  waited 1 ms",
                "+20.0 ms  hedge at web.2 (127.0.0.1:2): answered 200, after 5.0 ms",
                "times  25.4 ms to the reply's head, 26.0 ms in all",
                "bytes  0 in, 512 out",
            ]
        );
    }

    #[test]
    fn a_request_that_reached_nobody_says_why() {
        let record = json!({
            "method": "GET", "host": "shop", "path": "/\u{1b}[2J", "status": 503, "client": "192.0.2.7:5000",
            "held_us": 5_000_000, "cause": "no endpoint was up within the time that requests are held",
        });
        let story = explain(record.as_object().unwrap());
        assert!(story.starts_with("GET shop/\u{fffd}[2J: 503\n"), "{story}");
        assert!(story.contains("route  none"), "{story}");
        assert!(story.contains("held  5000.0 ms because nobody was up"), "{story}");
        assert!(story.contains("cause  no endpoint was up within"), "{story}");
    }
}
