//! What checks tell, and what makes them come early.

use deploy::AtStop;

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
