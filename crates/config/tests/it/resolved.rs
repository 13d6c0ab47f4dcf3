//! What a release stores: it must load for as long as there are releases.

use config::resolved::ResolvedError;
use config::{Manifest, Resolved};
use proptest::prelude::*;
use stdx::ids::EnvName;

use crate::support::shop;

/// Written by the first Forebay. It is never edited: a Forebay that cannot read it cannot roll back.
const VERSION_1: &str = include_str!("../fixtures/resolved-1.json");
/// The manifest that it was written from.
const VERSION_1_MANIFEST: &str = include_str!("../fixtures/resolved-1.toml");

fn resolved(text: &str) -> Resolved {
    Resolved::new(Manifest::parse(text).unwrap(), EnvName::production())
}

#[test]
fn the_fixture_of_version_1_loads() {
    assert_eq!(Resolved::from_json(VERSION_1).unwrap(), resolved(VERSION_1_MANIFEST));
    // Since then written out too; a release from before has the default.
    let since = [
        ("/processes/web/health", "unhealthy_restart_after_ms"),
        ("/routes/0", "retry"),
        ("/routes/1", "retry"),
        ("/queues/orders", "durability"),
        ("/queues/orders", "age_max_ms"),
        ("/queues/orders", "when_full"),
        ("/queues/orders", "in_flight_max"),
        ("/queues/orders", "rate_per_s"),
        ("/queues/orders", "retry_delay_max_ms"),
        ("/queues/orders", "retry_jitter_percent"),
        ("/queues/orders", "alert_age_ms"),
        ("/queues/orders", "alert_drain_ms"),
    ];
    let written = resolved(VERSION_1_MANIFEST).to_json();
    let mut json: serde_json::Value = serde_json::from_str(&written).unwrap();
    for (table, key) in since {
        let table = json.pointer_mut(table).and_then(|table| table.as_object_mut()).unwrap();
        assert!(table.remove(key).is_some(), "{key}");
    }
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(VERSION_1).unwrap());
}

#[test]
fn every_default_is_written_out() {
    let json: serde_json::Value = serde_json::from_str(&resolved(&shop("")).to_json()).unwrap();
    assert_eq!(json["resolved"], 1);
    assert_eq!(json["environment"], "production");
    assert_eq!(json["processes"]["web"]["stop_timeout_ms"], 10_000);
    assert_eq!(json["processes"]["web"]["limits"]["pids_max"], 256);
}

#[test]
fn what_a_stricter_forebay_would_refuse_still_loads() {
    let text = r#"{"resolved": 1, "app": "shop", "environment": "production", "from_the_future": {"x": 1},
        "env": {"FOREBAY_X": "1"}, "processes": {"release": {"command": "", "instances": 60000, "extra": true}},
        "routes": [{"host": "UPPER", "path_prefix": "no-slash", "process": "gone", "deadline_ms": 0}]}"#;
    let resolved = Resolved::from_json(text).unwrap();
    assert_eq!(resolved.processes["release"].instances, 60_000);
    assert_eq!(resolved.processes["release"].stop_timeout_ms, 10_000);
    assert_eq!(resolved.routes[0].host.as_deref(), Some("UPPER"));
    assert_eq!(resolved.routed().len(), 1);
}

#[test]
fn a_newer_or_damaged_one_is_refused_by_name() {
    assert_eq!(Resolved::from_json("{\"resolved\": 2}"), Err(ResolvedError::Newer { found: 2 }));
    let newer = control::error::ApiError::from(ResolvedError::Newer { found: 2 });
    assert_eq!(newer.code, "resolved_newer");
    let no_process = r#"{"resolved": 1, "app": "a", "environment": "production", "routes": [{}]}"#;
    for damaged in
        [no_process, "", "{}", "[]", "{\"resolved\": \"1\"}", "{\"resolved\": 1}", &VERSION_1[..VERSION_1.len() / 2]]
    {
        let error = Resolved::from_json(damaged).unwrap_err();
        assert!(matches!(error, ResolvedError::Damaged(_)), "{damaged}");
    }
}

/// A process section with some of its keys.
fn process() -> impl Strategy<Value = String> {
    let keys = (
        "[ -~&&[^\"\\\\ ]]{1,40}",
        proptest::option::of(0_u16..=100),
        proptest::option::of(1_u32..3_600_000),
        proptest::option::of((1_u16..100, "/[a-z]{1,9}")),
        proptest::option::of(4_194_304_u64..1 << 40),
    );
    keys.prop_map(|(command, instances, stop, health, memory)| {
        let mut text = format!("command = \"{command}\"\n");
        text.extend(instances.map(|n| format!("instances = {n}\n")));
        text.extend(stop.map(|n| format!("stop_timeout_ms = {n}\n")));
        text.extend(health.map(|(rise, path)| format!("health = {{ rise = {rise}, path = \"{path}\" }}\n")));
        text.extend(memory.map(|n| format!("limits = {{ memory_bytes_max = {n} }}\n")));
        text
    })
}

fn manifest() -> impl Strategy<Value = String> {
    let processes = proptest::collection::btree_map("p[a-z0-9]{0,8}", process(), 1..5);
    let env = proptest::collection::btree_map("X[A-Z_]{0,8}", "[^\\x00-\\x1f\"\\\\\\x7f]{0,20}", 0..5);
    let tubes = proptest::collection::btree_map("[a-z.+/]{1,12}", (1_u64..1 << 40, any::<u32>()), 0..4);
    let route = proptest::option::of((1_u32..3_600_000, proptest::option::of(0_u64..1 << 50)));
    (processes, env, tubes, route).prop_map(|(processes, env, tubes, route)| {
        let first = processes.keys().next().cloned().unwrap_or_default();
        let mut text = "schema = 1\napp = \"shop\"\n[env]\n".to_owned();
        text.extend(env.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")));
        text.extend(processes.iter().map(|(name, keys)| format!("[processes.{name}]\n{keys}")));
        text.extend(tubes.iter().map(|(name, (jobs, attempts))| {
            format!("[queues.\"{name}\"]\njobs_max = {jobs}\nattempts_max = {attempts}\n")
        }));
        if let Some((deadline, body)) = route {
            text.push_str(&format!("[[routes]]\nprocess = \"{first}\"\ndeadline_ms = {deadline}\n"));
            text.extend(body.map(|n| format!("body_bytes_max = {n}\n")));
        }
        text
    })
}

proptest! {
    #[test]
    fn to_json_and_back_is_the_same(text in manifest()) {
        let resolved = resolved(&text);
        prop_assert_eq!(Resolved::from_json(&resolved.to_json()).unwrap(), resolved);
    }
}
