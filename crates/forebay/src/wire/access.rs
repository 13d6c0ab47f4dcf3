//! What one access record says, as the fields of a log record or of a line in a file.

use router::AccessRecord;
use router::access::Outcome;
use serde_json::{Map, Value, json};

/// `GET /orders 202`
pub(crate) fn message(record: &AccessRecord) -> String {
    format!("{} {} {}", method(record), record.target, record.status)
}

/// What was no HTTP has no method.
fn method(record: &AccessRecord) -> &str {
    record.method.as_ref().map_or("-", http::Method::as_str)
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

fn one_try(one: &router::access::Try) -> Value {
    let mut object = Map::new();
    object.insert("endpoint".into(), json!(one.target.addr.to_string()));
    if let Some(instance) = &one.target.instance {
        object.insert("instance".into(), json!(instance));
    }
    match one.outcome {
        Outcome::Answered(status) => object.insert("status".into(), json!(status)),
        other => object.insert("outcome".into(), json!(other.to_string())),
    };
    object.insert("us".into(), micros(one.took));
    Value::Object(object)
}

fn micros(duration: std::time::Duration) -> Value {
    json!(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
