//! What one access record says, as the fields of a log record or of a line in a file.

use std::time::Duration;

use router::AccessRecord;
use router::access::{Event, Outcome, Try, TryKind};
use serde_json::{Map, Value, json};

/// A first try that begins within this time of its request's head began at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// `GET /orders 202`
pub(crate) fn message(record: &AccessRecord) -> String {
    format!("{} {} {}", method(record), record.target, record.status)
}

/// What was no HTTP has no method.
fn method(record: &AccessRecord) -> &str {
    record.method.as_ref().map_or("-", http::Method::as_str)
}

/// The whole record, for a file of its own.
pub(crate) fn line(record: &AccessRecord) -> Map<String, Value> {
    let mut fields = fields(record);
    fields.insert("time_ns".into(), record.time.0.into());
    fields.insert("trace".into(), record.trace.trace.to_string().into());
    fields
}

/// Everything else that is known of it. Durations in microseconds.
pub(crate) fn fields(record: &AccessRecord) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.into(), value);
    put("method", json!(method(record)));
    put("host", json!(record.host));
    put("path", json!(record.target));
    put("status", json!(record.status));
    put("client", json!(record.client.to_string()));
    put("duration_us", micros(record.total));
    put("head_us", micros(record.to_head));
    put("request_bytes", json!(record.request_bytes));
    put("reply_bytes", json!(record.reply_bytes));
    if let Some(route) = &record.route {
        put("route", json!(route.name));
        put("upstream", json!(route.upstream.as_str()));
    }
    if !record.tries.is_empty() {
        put("tries", Value::Array(record.tries.iter().map(one_try).collect()));
    }
    if !record.events.is_empty() {
        put("events", Value::Array(record.events.iter().map(event).collect()));
    }
    if let Some(endpoint) = record.endpoint() {
        put("endpoint", json!(endpoint.addr.to_string()));
    }
    if !record.held.is_zero() {
        put("held_us", micros(record.held));
    }
    if let Some(parent) = &record.parent {
        put("parent_span", json!(parent.span.to_string()));
    }
    if let Some(link) = &record.link {
        put("link", json!(link.to_string()));
    }
    if let Some(cause) = &record.cause {
        put("cause", json!(cause));
    }
    if !record.whole {
        put("broken_off", json!(true));
    }
    fields
}

/// A first try begins with the request and says neither.
fn one_try(one: &Try) -> Value {
    let mut object = Map::new();
    object.insert("endpoint".into(), json!(one.target.addr.to_string()));
    if let Some(instance) = &one.target.instance {
        object.insert("instance".into(), json!(instance));
    }
    match one.outcome {
        Outcome::Answered(status) => object.insert("status".into(), json!(status)),
        other => object.insert("outcome".into(), json!(other.to_string())),
    };
    if one.kind != TryKind::First {
        object.insert("kind".into(), json!(one.kind.word()));
    }
    if one.kind != TryKind::First || one.at >= AT_ONCE {
        object.insert("at_us".into(), micros(one.at));
    }
    object.insert("us".into(), micros(one.took));
    Value::Object(object)
}

fn event(event: &Event) -> Value {
    json!({ "at_us": micros(event.at), "what": event.what.word(), "text": event.what.to_string() })
}

fn micros(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use router::access::{TargetFacts, What};
    use std::sync::Arc;

    fn tried(kind: TryKind, outcome: Outcome, at_us: u64) -> Try {
        let target = TargetFacts { addr: ([127, 0, 0, 1], 9).into(), instance: Some("web.1".into()), release: None };
        let (at, took) = (Duration::from_micros(at_us), Duration::from_micros(7));
        Try { target: Arc::new(target), kind, outcome, at, took }
    }

    #[test]
    fn an_ordinary_try_is_said_in_few_words_and_any_other_in_more() {
        let first = tried(TryKind::First, Outcome::Answered(200), 90);
        assert_eq!(one_try(&first), json!({ "endpoint": "127.0.0.1:9", "instance": "web.1", "status": 200, "us": 7 }));
        let hedge = tried(TryKind::Hedge, Outcome::Cancelled, 20_000);
        let said = one_try(&hedge);
        assert_eq!((&said["kind"], &said["at_us"]), (&json!("hedge"), &json!(20_000)));
        assert_eq!(said["outcome"], "cancelled: another try answered first");
    }

    #[test]
    fn an_event_has_a_word_and_a_sentence() {
        let event = super::event(&Event { at: AT_ONCE, what: What::BudgetDenied(TryKind::Retry) });
        assert_eq!((&event["at_us"], &event["what"]), (&json!(1_000), &json!("budget_denied")));
        assert!(event["text"].as_str().unwrap().starts_with("no retry: "), "{event}");
    }
}
