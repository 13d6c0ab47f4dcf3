//! Requests that keep coming, through everything that happens to an application: none fails.

use std::time::Duration;

use benchsuite::load::{self, Plan, Running};

use crate::rig::{Node, eventually};

#[test]
fn no_request_fails_through_deploy_rollback_and_a_killed_instance() {
    through_everything("/");
}

#[test]
fn no_request_in_flight_is_lost_when_handlers_take_200_ms() {
    through_everything("/?delay_ms=200");
}

/// 500 requests a second, sent when they are due whatever became of those before.
fn through_everything(target: &str) {
    let node = Node::with_shop();
    node.ready("web", 2);
    let load = load::start(Plan {
        rate: 500,
        connections: 256,
        duration: Duration::from_secs(300),
        timeout: Duration::from_secs(30),
        ..Plan::to(&format!("http://{}{target}", node.at.http)).unwrap()
    });
    a_thousand_more(&load);

    node.deploy("shop");
    a_thousand_more(&load);

    node.home.forebay(&["rollback", "shop"]).ok();
    a_thousand_more(&load);

    let [victim, other] = &node.ready("web", 2)[..] else { unreachable!() };
    victim.kill();
    let now = eventually("another instance takes its place", || {
        let now: Vec<_> = node.instances("web").into_iter().filter(|instance| instance.is_ready()).collect();
        (now.len() == 2 && now.iter().all(|instance| instance.pid != victim.pid)).then_some(now)
    });
    assert!(now.iter().any(|instance| instance.pid == other.pid), "the other one was left alone: {now:?}");
    a_thousand_more(&load);

    let report = load.finish();
    assert!(report.failed.is_empty() && report.attempted == report.answered, "{report}");
    assert!(report.answered >= 4_000, "{report}");
}

fn a_thousand_more(load: &Running) {
    let goal = load.answered() + 1_000;
    eventually("a thousand more answers", || (load.answered() >= goal).then_some(()));
}
