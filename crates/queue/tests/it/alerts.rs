//! Alerts, from a tube's configuration to whoever is told.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use control::metrics::Exposition;
use queue::config::{Config, TubeConfig};
use queue::{AlertEvent, AlertKind, JobEvent, JobSink, NoTokens};

use crate::rig::{Http, PATIENCE, block_on, config, deps_with};

#[derive(Default)]
struct Heard(Mutex<Vec<AlertEvent>>);

impl JobSink for Heard {
    fn record(&self, _event: JobEvent) {}

    fn alert(&self, event: AlertEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn a_job_that_waits_too_long_raises_an_alert_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Heard::default());
    let tube = TubeConfig { alert_age_ms: 1, ..TubeConfig::default() };
    let settings = Config { tube, ..config() };
    let deps = deps_with(Arc::new(NoTokens), Arc::clone(&heard) as Arc<dyn JobSink>);
    let handle = queue::start(settings, folder.path().join("queue"), deps).unwrap();
    let http = Http::admin(&handle);
    let alerts = || http.get("/v1/queue/alerts").is(200).json()["items"].as_array().unwrap().len();
    let until = |number: usize| {
        let begun = Instant::now();
        while alerts() != number {
            assert!(begun.elapsed() < PATIENCE, "{number} alerts");
            std::thread::yield_now();
        }
    };
    until(0);
    http.put("mail", "x");
    until(1);
    let row = http.get("/v1/queue/tubes/mail").json()["alerts"][0].clone();
    assert_eq!((row["kind"].as_str(), row["limit_ms"].as_u64()), (Some("age"), Some(1)));
    let mut page = Exposition::default();
    block_on(queue::metrics::write(&handle, &mut page)).unwrap();
    let line = "forebay_queue_alert{app=\"\",environment=\"\",tube=\"mail\",kind=\"age\"} 1";
    assert!(page.into_text().contains(line));
    let job = http.reserve("mail", 0, 1).remove(0);
    http.settle(&job, "finish").is(200);
    until(0);
    let told = heard.0.lock().unwrap();
    let told: Vec<_> = told.iter().map(|event| (event.tube.as_str(), event.kind, event.raised)).collect();
    assert_eq!(told, [("mail", AlertKind::Age, true), ("mail", AlertKind::Age, false)]);
    block_on(handle.stop());
}
