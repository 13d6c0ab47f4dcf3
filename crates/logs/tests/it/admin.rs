//! The routes, as the node's own client asks them.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use control::wire::{Listing, LogRow};
use futures_util::StreamExt;
use logs::{Handle, Level, Record};
use serde_json::{Value, json};
use stdx::trace::TraceId;
use testkit::FakeDisk;
use tower::ServiceExt;

use crate::rig::{config, open, put, scope, text, wait};

async fn get(logs: &Handle, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).unwrap();
    logs::admin::routes(logs.clone()).oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()
}

async fn lines(logs: &Handle, path: &str) -> Vec<LogRow> {
    let response = get(logs, path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let body = body(response).await;
    body.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

async fn error(logs: &Handle, path: &str) -> (StatusCode, Value) {
    let response = get(logs, path).await;
    (response.status(), serde_json::from_slice::<Value>(&body(response).await).unwrap()["error"].clone())
}

fn shop() -> Handle {
    let logs = open(&FakeDisk::new(1), config());
    let of_shop = |record: Record| Record { scope: Some(scope()), process: Some("web".parse().unwrap()), ..record };
    let failed = Record { level: Level::Error, trace: TraceId::from_bytes([7; 16]), ..text(3_000_000, "it failed") };
    put(&logs, vec![text(1_000_000, "node"), of_shop(text(2_000_000, "hello")), of_shop(failed)]).unwrap();
    logs
}

#[test]
fn logs_are_lines_of_json_and_every_parameter_narrows() {
    let logs = shop();
    wait(async {
        let rows = [
            ("", vec!["node", "hello", "it failed"]),
            ("?app=shop", vec!["hello", "it failed"]),
            ("?app=shop&env=staging", vec![]),
            ("?process=web&n=1", vec!["it failed"]),
            ("?level=error", vec!["it failed"]),
            ("?since_ms=2", vec!["hello", "it failed"]),
            ("?until_ms=2", vec!["node"]),
            ("?q=-hello%20-failed", vec!["node"]),
            ("?instance=web.1", vec![]),
            ("?follow=false&n=0", vec![]),
        ];
        for (query, expected) in rows {
            let found = lines(&logs, &format!("/v1/logs{query}")).await;
            assert_eq!(found.iter().map(|row| row.message.as_str()).collect::<Vec<_>>(), expected, "{query}");
        }
    });
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let logs = shop();
    wait(async {
        let (status, e) = error(&logs, "/v1/logs?q=a%20%22open").await;
        assert_eq!(
            (status, &e["code"], &e["at"]),
            (StatusCode::BAD_REQUEST, &json!("query_syntax"), &json!("q, column 3"))
        );
        for (query, code) in
            [("app=Shop_", "query_parameters"), ("x=1", "query_parameters"), ("level=loud", "query_level")]
        {
            let (status, e) = error(&logs, &format!("/v1/logs?{query}")).await;
            assert_eq!((status, e["code"].as_str()), (StatusCode::BAD_REQUEST, Some(code)), "{query}");
            assert!(e["hint"].is_string());
        }
    });
}

#[test]
fn a_trace_is_a_listing_or_unknown() {
    let logs = shop();
    wait(async {
        let response = get(&logs, "/v1/trace/07070707070707070707070707070707").await;
        let listing: Listing<LogRow> = serde_json::from_slice(&body(response).await).unwrap();
        assert_eq!((listing.schema, listing.items.len(), listing.items[0].message.as_str()), (1, 1, "it failed"));
        let (status, e) = error(&logs, "/v1/trace/17070707070707070707070707070707").await;
        assert_eq!((status, e["code"].as_str()), (StatusCode::NOT_FOUND, Some("trace_unknown")));
        let (status, e) = error(&logs, "/v1/trace/xyz").await;
        assert_eq!((status, e["code"].as_str()), (StatusCode::BAD_REQUEST, Some("trace_malformed")));
    });
}

#[test]
fn following_goes_on_until_the_reader_leaves() {
    let logs = shop();
    wait(async {
        let mut stream = get(&logs, "/v1/logs?follow=true&app=shop&n=1").await.into_body().into_data_stream();
        let mut row = async || serde_json::from_slice::<LogRow>(&stream.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(row().await.message, "it failed");
        let record = Record { scope: Some(scope()), ..text(4_000_000, "later") };
        logs.ingest(vec![record]).unwrap().durable().await.unwrap();
        assert_eq!(row().await.message, "later");
        drop(stream);
        assert_eq!(logs.stats().tails, 0);
    });
}
