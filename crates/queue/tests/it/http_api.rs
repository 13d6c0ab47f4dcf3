//! The HTTP API as workers and operators use it.

use std::time::{Duration, Instant};

use queue::config::{Config, TubeConfig, WhenFull};

use crate::rig::{Forebay, Http, PATIENCE, config, hear};

fn start() -> (Forebay, Http) {
    start_with(config())
}

fn start_with(config: Config) -> (Forebay, Http) {
    let ours = Forebay::start_with(config);
    let http = Http::admin(&ours.handle);
    (ours, http)
}

#[test]
fn a_job_goes_from_put_to_finish() {
    let (ours, http) = start();
    let answer = http.post("/v1/queue/tubes/mail/jobs?pri=7&ttr_s=90", "hello").is(201).json();
    assert_eq!((answer["schema"].as_u64(), answer["id"].as_u64()), (Some(1), Some(1)));
    let jobs = http.reserve("mail", 0, 1);
    let job = &jobs[0];
    assert_eq!((job["id"].as_u64(), job["lease"].as_u64(), job["pri"].as_u64()), (Some(1), Some(1), Some(7)));
    assert_eq!((job["tube"].as_str(), job["body"].as_str()), (Some("mail"), Some("hello")));
    assert_eq!(job["state"], "reserved");
    assert!((80_000..=90_000).contains(&job["left_ms"].as_u64().unwrap()), "{job}");
    assert_eq!(http.reserve("mail", 0, 1), Vec::<serde_json::Value>::new());
    assert_eq!(http.settle(job, "touch").is(200).json()["outcome"], "touched");
    assert_eq!(http.settle(job, "finish").is(200).json()["outcome"], "finished");
    assert_eq!(http.settle(job, "finish").is(404).code(), "no_such_job");
    assert_eq!(ours.connect().ask("peek 1"), "NOT_FOUND");
}

#[test]
fn both_doors_lead_to_the_same_jobs() {
    let (ours, http) = start();
    let mut client = ours.connect();
    client.ask("use mail");
    client.ask("watch mail");
    client.put("3 0 60", "by beanstalkd");
    let jobs = http.reserve("mail", 0, 1);
    assert_eq!(jobs[0]["body"], "by beanstalkd");
    // Held by the HTTP door: nobody else can touch it.
    assert_eq!(client.ask("delete 1"), "NOT_FOUND");
    assert_eq!(client.ask("reserve-with-timeout 0"), "TIMED_OUT");
    http.settle(&jobs[0], "release?pri=5").is(200);
    assert_eq!(client.ask_all("reserve-with-timeout 0"), "RESERVED 1 13\nby beanstalkd");
    assert_eq!(client.stat("stats-job 1", "pri"), "5");
    assert_eq!(http.delete("/v1/queue/jobs/1").is(409).code(), "job_reserved");
    assert_eq!(client.ask("bury 1 0"), "BURIED");
    http.delete("/v1/queue/jobs/1").is(200);
    assert_eq!(http.delete("/v1/queue/jobs/1").is(404).code(), "no_such_job");
}

#[test]
fn a_batch_waits_for_room_and_is_put_in_order() {
    let tube = TubeConfig { jobs_max: 1, when_full: WhenFull::Wait, ..TubeConfig::default() };
    let (_ours, http) = start_with(Config { tube, ..config() });
    let ask = br#"{"jobs": [{"body": "a"}, {"body": "b"}, {"body": "c"}]}"#;
    let batch = http.begin("POST", "/v1/queue/tubes/mail/batch", "", ask);
    for body in ["a", "b", "c"] {
        let job = http.reserve("mail", 20, 1).remove(0);
        assert_eq!(job["body"], body);
        http.settle(&job, "finish").is(200);
    }
    let put = hear(batch).is(201).json();
    let ids: Vec<_> = put["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3)]);

    // One that hangs up while it waits leaves nothing behind.
    http.put("mail", "x");
    drop(http.begin("POST", "/v1/queue/tubes/mail/batch", "", ask));
    let begun = Instant::now();
    while http.get("/v1/queue/status").json()["connections"] != 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let job = http.reserve("mail", 0, 1).remove(0);
    http.settle(&job, "finish").is(200);
    assert_eq!(http.reserve("mail", 0, 1), Vec::<serde_json::Value>::new());
}

#[test]
fn a_job_is_put_once_under_its_key_and_in_its_order() {
    let (_ours, http) = start_with(Config { keys_max: 3, ..config() });
    let put = |query: &str| http.post(&format!("/v1/queue/tubes/mail/jobs?{query}"), "x").is(201).json()["id"].as_u64();
    assert_eq!(put("key=order-17&window_s=600"), Some(1));
    assert_eq!(put("key=order-17"), Some(1), "the same job");
    let fields = "Idempotency-Key: \"order-17\"\r\n";
    let answer = http.begin("POST", "/v1/queue/tubes/mail/jobs", fields, b"x");
    assert_eq!(hear(answer).is(201).json()["id"], 1);
    assert_eq!(put("unique=report"), Some(2));
    assert_eq!(put("unique=report"), Some(2));
    assert_eq!(put("order=a&attempts_max=1&retry_delay_ms=5"), Some(3));
    let batch =
        r#"{"jobs": [{"body": "y", "order": "a"}, {"body": "z", "key": "k"}, {"body": "w", "unique": "over"}]}"#;
    let items = http.post("/v1/queue/tubes/mail/batch", batch).is(207).json()["items"].clone();
    assert_eq!((items[0]["id"].as_u64(), items[1]["id"].as_u64()), (Some(4), Some(5)));
    assert_eq!(items[2]["error"]["code"], "queue_keys_full");
    let ids: Vec<_> = http.reserve("mail", 0, 10).iter().map(|job| job["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 5], "4 waits for 3");
    for bad in ["key=", "key=a%20b", "order=%C3%BC", "window_s=0&key=a"] {
        let answer = http.post(&format!("/v1/queue/tubes/mail/jobs?{bad}"), "x").is(400);
        assert_eq!(answer.code(), "job_terms_malformed", "{bad}");
    }
}

#[test]
fn a_long_poll_gets_the_job_that_comes() {
    let (ours, http) = start();
    let waiting = http.begin("POST", "/v1/queue/reserve", "", br#"{"tubes": ["a", "b"], "wait_s": 60}"#);
    let mut client = ours.connect();
    while client.stat("stats", "current-waiting") != "1" {}
    client.ask("use b");
    client.put("0 0 60", "x");
    let jobs = hear(waiting).is(200).json();
    assert_eq!((jobs["items"][0]["tube"].as_str(), jobs["items"][0]["body"].as_str()), (Some("b"), Some("x")));
    let begun = Instant::now();
    assert!(http.reserve("b", 1, 1).is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(900), "it waited");
}

#[test]
fn who_hangs_up_while_waiting_takes_no_job() {
    let (ours, http) = start();
    let waiting = http.begin("POST", "/v1/queue/reserve", "", br#"{"tubes": ["mail"], "wait_s": 60}"#);
    let mut client = ours.connect();
    while client.stat("stats", "current-waiting") != "1" {}
    drop(waiting);
    while client.stat("stats", "current-waiting") != "0" {}
    http.put("mail", "x");
    assert_eq!(http.reserve("mail", 0, 1)[0]["reserves"], 1, "nobody had it before");
}

#[test]
fn a_worker_that_was_too_slow_cannot_end_the_lease_of_its_successor() {
    let (_ours, http) = start();
    http.post("/v1/queue/tubes/mail/jobs?ttr_s=1", "x").is(201);
    let slow = &http.reserve("mail", 0, 1)[0];
    let next = &http.reserve("mail", 10, 1)[0];
    assert_eq!((slow["lease"].as_u64(), next["lease"].as_u64()), (Some(1), Some(2)));
    assert_eq!(next["timeouts"], 1);
    assert_eq!(http.settle(slow, "finish").is(409).code(), "lease_lost");
    assert_eq!(http.settle(slow, "touch").is(409).code(), "lease_lost");
    http.settle(next, "finish").is(200);
}

#[test]
fn failures_follow_the_retry_policy_of_the_tube() {
    let tube =
        TubeConfig { attempts_max: 2, retry_delay_ms: 3_600_000, retry_jitter_percent: 0, ..TubeConfig::default() };
    let (_ours, http) = start_with(Config { tube, ..config() });
    let id = http.put("mail", "x");
    let job = &http.reserve("mail", 0, 1)[0];
    assert_eq!(http.settle(job, "fail").is(200).json()["outcome"], "released");
    let row = http.get(&format!("/v1/queue/jobs/{id}")).is(200).json();
    assert_eq!((row["state"].as_str(), row["delay_s"].as_u64()), (Some("delayed"), Some(3_600)));
    http.post(&format!("/v1/queue/jobs/{id}/kick"), "").is(200);
    let job = &http.reserve("mail", 0, 1)[0];
    assert_eq!(http.settle(job, "fail?delay_s=0").is(200).json()["outcome"], "buried", "it was the last attempt");
}

#[test]
fn a_batch_is_taken_job_by_job() {
    let tube = TubeConfig { jobs_max: 3, ..TubeConfig::default() };
    let (_ours, http) = start_with(Config { job_bytes_max: 100, tube, ..config() });
    let big = "x".repeat(101);
    let batch = format!(
        r#"{{"jobs": [{{"body": "a"}}, {{"body": "{big}"}}, {{"body_base64": "/wA=", "pri": 0}}, {{"body": "c", "delay_s": 60}}, {{"body": "d"}}]}}"#
    );
    let items = http.post("/v1/queue/tubes/mail/batch", &batch).is(207).json()["items"].clone();
    let ids: Vec<_> = items.as_array().unwrap().iter().map(|item| item["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), None, Some(2), Some(3), None]);
    assert_eq!(
        (items[1]["error"]["code"].as_str(), items[4]["error"]["code"].as_str()),
        (Some("job_too_big"), Some("tube_full"))
    );
    let jobs = http.reserve("mail", 0, 10);
    assert_eq!(jobs.iter().map(|job| job["id"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1], "by priority");
    assert_eq!((jobs[0]["body_base64"].as_str(), jobs[0].get("body")), (Some("/wA="), None));
    http.settle(&jobs[0], "finish").is(200);
    http.post("/v1/queue/tubes/mail/batch", r#"{"jobs": [{"body": "e"}]}"#).is(201);
}

#[test]
fn what_does_not_fit_is_refused_in_http_s_words() {
    let tube = TubeConfig { jobs_max: 1, ..TubeConfig::default() };
    let (ours, http) = start_with(Config { job_bytes_max: 100, jobs_max: 2, tube, ..config() });
    assert_eq!(http.post("/v1/queue/tubes/a/jobs", &"x".repeat(101)).is(413).code(), "job_too_big");
    http.put("a", "x");
    let full = http.post("/v1/queue/tubes/a/jobs", "x").is(429);
    assert_eq!((full.code().as_str(), full.field("retry-after")), ("tube_full", Some("1")));
    http.put("b", "x");
    let full = http.post("/v1/queue/tubes/c/jobs", "x").is(503);
    assert_eq!((full.code().as_str(), full.field("retry-after")), ("queue_full", Some("5")));
    crate::rig::block_on(ours.handle.drain_mode(true)).unwrap();
    assert_eq!(http.post("/v1/queue/tubes/c/jobs", "x").is(503).code(), "queue_draining");
    crate::rig::block_on(ours.handle.stop());
    assert_eq!(http.post("/v1/queue/tubes/c/jobs", "x").is(503).code(), "queue_unavailable");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (_ours, http) = start();
    for (target, body) in [
        ("/v1/queue/tubes/-a/jobs", "x"),
        ("/v1/queue/tubes/a/jobs?pri=-1", "x"),
        ("/v1/queue/tubes/a/jobs?priority=1", "x"),
        ("/v1/queue/tubes/a/jobs?app=NO", "x"),
        ("/v1/queue/tubes/a/batch", "{}"),
        ("/v1/queue/tubes/a/batch", r#"{"jobs": []}"#),
        ("/v1/queue/tubes/a/batch", r#"{"jobs": [{"body": "a", "body_base64": ""}]}"#),
        ("/v1/queue/reserve", "{"),
        ("/v1/queue/reserve", r#"{"tubes": []}"#),
        ("/v1/queue/reserve", r#"{"tubes": ["a b"]}"#),
        ("/v1/queue/reserve", r#"{"tubes": ["a"], "wait_s": 100000}"#),
        ("/v1/queue/reserve", r#"{"tubes": ["a"], "jobs": 0}"#),
        ("/v1/queue/jobs/x/finish?lease=1", ""),
        ("/v1/queue/jobs/1/finish", ""),
        ("/v1/queue/tubes/a/pause", ""),
    ] {
        let answer = http.post(target, body);
        assert_eq!(answer.status, 400, "{target} {body}: {answer:?}");
    }
    assert_eq!(http.post("/v1/queue/jobs/1/frob?lease=1", "").is(404).code(), "no_such_endpoint");
    assert_eq!(http.get("/v1/queue/tubes/a/jobs?app=nobody").is(404).code(), "no_such_tube");
    assert_eq!(http.get("/v1/queue/tubes").json()["items"].as_array().unwrap().len(), 1, "nothing came to be");
}

#[test]
fn operators_see_and_move_every_job() {
    let (ours, http) = start();
    let mut client = ours.connect();
    client.ask("use a/b");
    let ids = [client.put("0 0 60", "one"), client.put("0 0 60", "two"), client.put("0 100 60", "later")];
    let list = |state: &str| {
        let rows = http.get(&format!("/v1/queue/tubes/a%2Fb/jobs{state}")).is(200).json();
        let row = |row: &serde_json::Value| (row["id"].as_u64().unwrap(), row["state"].as_str().unwrap().to_owned());
        rows["items"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let pair = |id: u64, state: &str| (id, state.to_owned());
    assert_eq!(list(""), [pair(ids[0], "ready"), pair(ids[1], "ready"), pair(ids[2], "delayed")]);
    assert_eq!(list("?n=1"), [pair(ids[0], "ready")]);
    http.post(&format!("/v1/queue/jobs/{}/bury", ids[0]), "").is(200);
    assert_eq!(list("?state=buried"), [pair(ids[0], "buried")]);
    assert_eq!(http.post(&format!("/v1/queue/jobs/{}/bury", ids[0]), "").is(404).code(), "no_such_job");
    assert_eq!(http.get("/v1/queue/tubes/a%2Fb/peek?state=delayed").is(200).json()["items"][0]["body"], "later");
    assert_eq!(http.post("/v1/queue/tubes/a%2Fb/kick?jobs=10", "").is(200).json()["jobs"], 1, "the buried one alone");
    assert_eq!(http.post("/v1/queue/tubes/a%2Fb/kick?jobs=10", "").is(200).json()["jobs"], 1, "now the delayed one");
    http.post("/v1/queue/tubes/a%2Fb/pause?for_s=1000", "").is(200);
    assert!(http.reserve("a/b", 0, 1).is_empty());
    assert!(http.get("/v1/queue/tubes/a%2Fb").is(200).json()["paused_until_ms"].as_u64().is_some());
    http.post("/v1/queue/tubes/a%2Fb/resume", "").is(200);
    assert_eq!(http.reserve("a/b", 10, 5).len(), 3);
    assert_eq!(list("?state=reserved").len(), 3);
}

#[test]
fn jobs_held_over_http_are_held_over_many_requests_and_ready_after_a_restart() {
    let (ours, http) = start();
    http.put("mail", "x");
    http.reserve("mail", 0, 1);
    for _ in 0..3 {
        assert_eq!(http.get("/v1/queue/jobs/1").json()["state"], "reserved");
    }
    let ours = ours.restart();
    let http = Http::admin(&ours.handle);
    let job = &http.reserve("mail", 0, 1)[0];
    assert_eq!(job["lease"], 2, "a lease is never given twice");
    http.settle(job, "finish").is(200);
}

#[test]
fn the_trace_of_a_request_is_the_trace_of_its_job() {
    let (_ours, http) = start();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let field = format!("traceparent: {trace}\r\n");
    http.send("POST", "/v1/queue/tubes/a/jobs", &field, b"x").is(201);
    http.send("POST", "/v1/queue/tubes/a/jobs", "traceparent: nonsense\r\n", b"y").is(201);
    http.send("POST", "/v1/queue/tubes/a/batch", &field, br#"{"jobs": [{"body": "z"}]}"#).is(201);
    let jobs = http.reserve("a", 0, 3);
    let traces: Vec<_> = jobs.iter().map(|job| job["traceparent"].as_str()).collect();
    assert_eq!(traces, [Some(trace), None, Some(trace)]);
}

#[test]
fn the_history_of_a_job_names_whoever_had_it_over_http() {
    let tube = TubeConfig { attempts_max: 3, ..TubeConfig::default() };
    let ours = Forebay::start_with(Config { tube, http_listen: vec!["127.0.0.1:0".parse().unwrap()], ..config() });
    let http = Http { addr: ours.handle.http_bound()[0], fields: String::new() };
    let id = ours.connect().put("0 0 60", "x");
    let reserve = |ask: &str| http.post("/v1/queue/reserve", ask).is(200).json()["items"][0].clone();
    http.settle(&reserve(r#"{"tubes": ["default"], "worker": "mailer 3"}"#), "fail?reason=busy").is(200);
    http.settle(&reserve(r#"{"tubes": ["default"]}"#), "fail?reason=busy").is(200);
    let mut client = ours.connect();
    client.ask_all("reserve");
    client.ask(&format!("fail {id} busy"));
    let dead = Http::admin(&ours.handle).get("/v1/queue/dead").json();
    let worker = |n: usize| dead["items"][0]["attempts"][n]["worker"].as_str().unwrap().to_owned();
    assert_eq!(worker(0), "mailer 3");
    assert!(worker(1).starts_with("http 127.0.0.1:"), "{dead}");
    assert!(worker(2).starts_with("127.0.0.1:"), "{dead}");
    for bad in [r#"{"tubes": ["default"], "worker": ""}"#, "{\"tubes\": [\"default\"], \"worker\": \"a\\nb\"}"] {
        assert_eq!(http.post("/v1/queue/reserve", bad).is(400).code(), "request_malformed", "{bad}");
    }
}
