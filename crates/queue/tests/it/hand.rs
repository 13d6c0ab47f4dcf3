//! Dead jobs and pauses as operators see them over HTTP.

use queue::config::{Config, TubeConfig};
use serde_json::Value;

use crate::rig::{Forebay, Http, config};

fn two_attempts() -> Config {
    let tube = TubeConfig { attempts_max: 2, dead_letter: Some("dead".into()), ..TubeConfig::default() };
    Config { tube, ..config() }
}

/// Lets a job of the tube fail as often as it may.
fn die(http: &Http, tube: &str, reason: &str) {
    for outcome in ["released", "buried"] {
        let job = http.reserve(tube, 0, 1).remove(0);
        let told = http.settle(&job, &format!("fail?reason={reason}")).is(200).json();
        assert_eq!(told["outcome"], outcome);
    }
}

fn ids(listing: &Value, key: &str) -> Vec<u64> {
    listing[key].as_array().unwrap().iter().map(|job| job["id"].as_u64().unwrap()).collect()
}

#[test]
fn dead_jobs_are_found_and_replayed() {
    let ours = Forebay::start_with(two_attempts());
    let http = Http::admin(&ours.handle);
    for (tube, reason) in [("mail", "no%20route"), ("mail", "refused"), ("orders", "no%20stock")] {
        http.put(tube, "x");
        die(&http, tube, reason);
    }
    let found = |query: &str| ids(&http.get(&format!("/v1/queue/dead?{query}")).is(200).json(), "items");
    assert_eq!(found(""), [1, 2, 3]);
    assert_eq!(found("n=2"), [1, 2]);
    assert_eq!(found("from=mail"), [1, 2]);
    assert_eq!(found("reason=no%20"), [1, 3]);
    assert_eq!(found("reason=no%20&from=mail"), [1]);
    assert_eq!((found("end=failed").len(), found("end=timed-out").len()), (3, 0));
    assert_eq!((found("since_ms=1").len(), found("before_ms=1").len()), (3, 0));
    assert_eq!((found("tube=dead").len(), found("tube=mail").len(), found("id=2")), (3, 0, vec![2]));
    for bad in ["end=tired", "id=x", "from=-x", "colour=red"] {
        http.get(&format!("/v1/queue/dead?{bad}")).is(400);
    }
    let one = http.get("/v1/queue/dead?id=1").json()["items"][0].clone();
    assert_eq!((one["from"].as_str(), one["reason"].as_str()), (Some("mail"), Some("no route")));
    assert_eq!((one["attempts"].as_array().unwrap().len(), one["attempts"][0]["end"].as_str()), (2, Some("failed")));
    assert_eq!(http.get("/v1/queue/tubes/dead").json()["dead"], 3);

    let replay = |query: &str| http.post(&format!("/v1/queue/dead/replay?{query}"), "").is(200).json();
    let preview = replay("from=mail&preview=true");
    assert_eq!((preview["preview"].as_bool(), ids(&preview, "jobs")), (Some(true), vec![1, 2]));
    assert_eq!(found("").len(), 3, "it was only a preview");
    assert_eq!(ids(&replay("id=1"), "jobs"), [1]);
    assert_eq!(http.reserve("mail", 0, 10).len(), 1);
    assert_eq!(ids(&replay("into=slow"), "jobs"), [2, 3]);
    assert_eq!(http.reserve("slow", 0, 10).len(), 2);
    assert_eq!(ids(&replay(""), "jobs"), Vec::<u64>::new());
}

#[test]
fn a_replay_ends_at_the_limit_of_the_tube() {
    let tube = TubeConfig { jobs_max: 2, ..two_attempts().tube };
    let ours = Forebay::start_with(Config { tube, ..config() });
    let http = Http::admin(&ours.handle);
    for _ in 0..2 {
        http.put("mail", "x");
        die(&http, "mail", "x");
    }
    http.put("mail", "x");
    let told = http.post("/v1/queue/dead/replay", "").is(200).json();
    assert_eq!((ids(&told, "jobs"), told["stopped_by_limit"].as_bool()), (vec![1], Some(true)));
}

#[test]
fn a_pause_says_who_and_why_and_survives_a_restart() {
    let ours = Forebay::start();
    let http = Http::admin(&ours.handle);
    http.put("mail", "x");
    http.put("orders", "x");
    http.post("/v1/queue/tubes/mail/pause?for_s=900&why=the%20shop%20moves", "").is(200);
    ours.connect().ask("pause-tube orders 900");
    let ours = ours.restart();
    let http = Http::admin(&ours.handle);
    let row = http.get("/v1/queue/tubes/mail").json();
    assert_eq!((row["paused_by"].as_str(), row["paused_why"].as_str()), (Some("operator"), Some("the shop moves")));
    assert!(row["paused_until_ms"].as_u64().is_some());
    let row = http.get("/v1/queue/tubes/orders").json();
    assert!(row["paused_by"].as_str().unwrap().starts_with("127.0.0.1:"), "{row}");
    assert_eq!(row.get("paused_why"), None, "nobody said why");
    assert_eq!(http.reserve("mail", 0, 1), Vec::<Value>::new());
    http.post("/v1/queue/tubes/mail/resume", "").is(200);
    assert_eq!(http.reserve("mail", 0, 1).len(), 1);
    assert_eq!(http.get("/v1/queue/tubes/mail").json().get("paused_by"), None);
}
