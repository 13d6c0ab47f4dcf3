//! What is told of tubes and of the plane as a whole.

use control::metrics::Exposition;

use crate::rig::{Forebay, Http, block_on};

#[test]
fn a_tube_tells_what_comes_what_goes_and_when_it_is_empty() {
    let ours = Forebay::start();
    let http = Http::admin(&ours.handle);
    let burden = || http.get("/v1/queue/tubes/mail").is(200).json()["burden"].clone();
    for _ in 0..30 {
        http.put("mail", "x");
    }
    let told = burden();
    assert!(told["arrivals_per_s"].as_f64().unwrap() > 1.0, "{told}");
    assert_eq!((told["services_per_s"].as_f64(), told.get("drain_ms")), (Some(0.0), None), "it only grows");
    for job in http.reserve("mail", 0, 30) {
        http.settle(&job, "finish").is(200);
    }
    let row = http.get("/v1/queue/tubes");
    let row = &row.json()["items"][0];
    assert_eq!(row["tube"], "default", "the tube is gone with its last job");
}

#[test]
fn the_plane_tells_how_its_disk_does() {
    let ours = Forebay::start();
    let http = Http::admin(&ours.handle);
    for _ in 0..10 {
        http.put("mail", "hello");
    }
    let status = http.get("/v1/queue/status").is(200).json();
    assert_eq!(
        (status["jobs"].as_u64(), status["bytes"].as_u64(), status["tubes"].as_u64()),
        (Some(10), Some(50), Some(2))
    );
    assert!(status["syncs"].as_u64().unwrap() >= 10, "one at least for each: {status}");
    assert!(status["syncs_per_s"].as_f64().unwrap() > 0.0);
    assert!(status["sync_ms"]["count"].as_u64().unwrap() >= 10);
    let ack = &status["ack_ms"];
    assert!(ack["count"].as_u64().unwrap() >= 10, "{status}");
    assert!(ack["p99"].as_f64().unwrap() >= ack["p50"].as_f64().unwrap() && ack["p50"].as_f64().unwrap() > 0.0);
    assert_eq!((status["draining"].as_bool(), status["disk_low"].as_bool()), (Some(false), Some(false)));
}

#[test]
fn prometheus_reads_every_figure() {
    let ours = Forebay::start();
    let http = Http::admin(&ours.handle);
    http.put("mail", "hello");
    let mut page = Exposition::default();
    block_on(queue::metrics::write(&ours.handle, &mut page)).unwrap();
    let text = page.into_text();
    for line in [
        "forebay_queue_jobs{app=\"\",environment=\"\",tube=\"mail\",state=\"ready\"} 1",
        "forebay_queue_put_total{app=\"\",environment=\"\",tube=\"mail\"} 1",
        "forebay_queue_bytes{app=\"\",environment=\"\",tube=\"mail\"} 5",
        "# TYPE forebay_queue_ack_seconds histogram",
        "forebay_queue_draining 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("forebay_queue_") && value.parse::<f64>().is_ok(), "{line}");
    }
    block_on(ours.handle.stop());
    let refused = block_on(queue::metrics::write(&ours.handle, &mut Exposition::default()));
    assert_eq!(refused.unwrap_err().code, "queue_unavailable");
}
