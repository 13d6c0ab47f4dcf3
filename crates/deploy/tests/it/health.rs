//! What checks tell, and what makes them come early.

use std::time::Duration;

use deploy::{AtStop, DependencyState};
use health::Health;

use crate::rig::{Rig, WEB};

/// Answers `/up` until it is asked for anything else, and reports a position with it.
fn moody() -> String {
    WEB.replace(
        "        self.send_response(200)",
        "        up = self.path == '/up'\n        if not up: open('sick', 'w')\n        self.send_response(503 if up and os.path.exists('sick') else 200); self.send_header('Forebay-Position', 'shop@0/2A')",
    )
}

#[tokio::test]
async fn an_instance_that_requests_had_trouble_with_is_checked_before_its_time() {
    let mut rig = Rig::new().await;
    let plan = "web 2 routed python3 web.py\ninterval web 3600000";
    rig.deploy(&rig.source(plan, &[("web.py", &moody())])).await.unwrap();
    let addr = rig.router.targets()[0];
    assert_eq!(rig.router.positions(addr), ["shop@0/2A"], "the first check has told");
    // All instances of a release share its folder, so both are sick; only one is suspected, and the other has an hour.
    rig.ask(addr).await;
    rig.router.suspect(addr);
    let rows = rig.until("one is unhealthy", |rows| rows.iter().any(|row| row.health == "unhealthy")).await;
    let ill: Vec<_> = rows.iter().filter(|row| row.health == "unhealthy").collect();
    assert_eq!((ill.len(), ill[0].port), (1, addr.port()));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_restart_while_all_are_unhealthy_still_knows_that_they_were_up_once() {
    let mut rig = Rig::new().await;
    let plan = "web 2 routed python3 web.py\npatience web 600000";
    rig.deploy(&rig.source(plan, &[("web.py", &moody())])).await.unwrap();
    rig.ask(rig.router.targets()[0]).await;
    rig.until("both are unhealthy", |rows| rows.iter().all(|row| row.health == "unhealthy")).await;
    rig.stop(AtStop::LeaveInstances).await;
    rig.start().await;
    // Before any check has been answered: with nobody unknown among them the router fails static.
    assert_eq!(rig.router.healths(), [Health::Unhealthy, Health::Unhealthy]);
    let rows = rig.ps().await;
    assert!(rows.iter().all(|row| row.state == "running" && row.health == "unhealthy"), "{rows:#?}");
    assert_eq!(rows[0].reason.as_deref(), Some("it was unhealthy before the node restarted"));
    rig.stop(AtStop::StopInstances).await;
}

async fn until_known(rig: &Rig, is: impl Fn(&[DependencyState]) -> bool) -> Vec<DependencyState> {
    for _ in 0..3_000 {
        let states = rig.node().0.dependencies(None);
        if is(&states) {
            return states;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", rig.node().0.dependencies(None));
}

#[tokio::test]
async fn dependencies_are_checked_once_for_all_instances_and_one_that_is_down_ejects_nobody() {
    let mut rig = Rig::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let plan = format!("web 3 routed python3 web.py\ndepends db {addr}\ncounts replica echo_12");
    rig.deploy(&rig.source(&plan, &[("web.py", WEB)])).await.unwrap();
    let known = |states: &[DependencyState]| states.iter().all(|state| state.health != Health::Unknown);
    let states = until_known(&rig, known).await;
    let shown: Vec<_> = states.iter().map(|one| (one.name.as_str(), one.health, one.reason.as_deref())).collect();
    let lag = Some("it is 12, more than 10");
    assert_eq!(shown, [("db", Health::Healthy, None), ("replica", Health::Unhealthy, lag)]);
    // One check each 100 ms for the node, not one for each of three instances: those that came wait in the listener.
    drop(listener);
    let states = until_known(&rig, |states| states[0].health == Health::Unhealthy).await;
    assert_eq!(states[0].reason.as_deref(), Some("connection refused"));
    assert_eq!(rig.router.targets().len(), 3);
    rig.deploy(&rig.source("web 1 routed python3 web.py", &[("web.py", WEB)])).await.unwrap();
    assert_eq!(rig.node().0.dependencies(None), []);
    rig.stop(AtStop::StopInstances).await;
}
