//! What an operator sets by hand: in force at once, written down, and over when its time is up.

use std::time::Duration;

use control::wire::router::{AuditAction, Fault, OverrideRequest, Setting};
use router::access::{Outcome, Strike, StrikeEnd, What};
use router::overrides::OverrideError;

use crate::endpoint::Endpoint;
use crate::rig::{Rig, eventually, proxy};

const NOTHING: Fault = Fault { endpoint: None, share_percent: 100.0, delay_ms: 0, error: None, reset: false };

fn request(fault: Fault, for_ms: u64) -> OverrideRequest {
    let setting = Setting::Fault { route: "web".into(), fault };
    OverrideRequest { setting, for_ms: Some(for_ms), why: Some("trying it".into()) }
}

fn set(rig: &Rig, fault: Fault) -> u64 {
    rig.handle.set_by_hand(request(fault, 600_000), "uid 7".into()).unwrap().id
}

#[tokio::test]
async fn an_error_on_demand_is_answered_without_the_endpoint_and_said_in_the_record() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).start();
    let id = set(&rig, Fault { error: Some(503), ..NOTHING });
    let reply = rig.get("/").await;
    assert_eq!(reply.status, 503);
    assert!(reply.content.contains("a fault was set here by hand"), "{reply:?}");
    assert_eq!(endpoint.requests().len(), 0);
    let record = rig.record().await;
    assert_eq!(record.tries[0].outcome, Outcome::Answered(503));
    let strike = Strike { delay: Duration::ZERO, end: Some(StrikeEnd::Error(503)) };
    assert_eq!(record.events[0].what, What::Fault(strike));
    rig.handle.clear_by_hand(id, "uid 7".into(), None).unwrap();
    assert_eq!(rig.get("/").await.content, "ok");
}

#[tokio::test]
async fn a_reset_at_one_endpoint_is_retried_at_the_other() {
    let (struck, sound) = (Endpoint::saying("struck").await, Endpoint::saying("sound").await);
    let rig = proxy().endpoint(&struck).endpoint(&sound).start();
    set(&rig, Fault { endpoint: Some(struck.addr.to_string()), reset: true, ..NOTHING });
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.content, "sound");
    }
    assert_eq!(struck.requests().len(), 0);
    let retried = rig.records(20).await.iter().filter(|record| record.tries[0].outcome == Outcome::Died).count();
    assert!(retried > 0);
}

#[tokio::test]
async fn a_delay_counts_as_the_endpoint_s_and_runs_into_the_try_s_time() {
    let (slow, sound) = (Endpoint::saying("slow").await, Endpoint::saying("sound").await);
    let rig = proxy().endpoint(&slow).policy(|policy| policy.try_timeout_ms = 100).start();
    set(&rig, Fault { delay_ms: 20, ..NOTHING });
    assert_eq!(rig.get("/").await.content, "slow");
    assert!(rig.record().await.tries[0].took >= Duration::from_millis(20));
    rig.route_to(&[slow.addr, sound.addr]);
    rig.handle.applied().await;
    set(&rig, Fault { endpoint: Some(slow.addr.to_string()), delay_ms: 60_000, ..NOTHING });
    for _ in 0..10 {
        assert_eq!(rig.get("/").await.content, "sound");
    }
}

#[tokio::test]
async fn what_is_set_outlives_the_router_and_its_routing() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).keeping(folder.path()).start();
    set(&rig, Fault { error: Some(418), ..NOTHING });
    rig.handle.drain(Duration::ZERO).await;

    let rig = proxy().endpoint(&endpoint).keeping(folder.path()).start();
    assert_eq!(rig.get("/").await.status, 418);
    let routing = rig.source_routing().borrow().clone();
    rig.source.replace(router::Routing::default());
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.status, 404);
    rig.source.replace((*routing).clone());
    rig.handle.applied().await;
    assert_eq!(rig.get("/").await.status, 418);
    let rows = rig.handle.set_rows();
    assert_eq!((rows.len(), rows[0].who.as_str(), rows[0].why.as_deref()), (1, "uid 7", Some("trying it")));
}

#[tokio::test]
async fn what_is_set_for_a_time_ends_by_itself() {
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).start();
    rig.handle.set_by_hand(request(Fault { error: Some(503), ..NOTHING }, 30), "uid 7".into()).unwrap();
    eventually(|| rig.handle.set_rows().is_empty()).await;
    assert_eq!(rig.get("/").await.content, "ok");
    let trail: Vec<_> = rig.handle.audit_rows().into_iter().map(|row| (row.action, row.who)).collect();
    assert_eq!(trail, [(AuditAction::Set, "uid 7".into()), (AuditAction::Expired, "expiry".into())]);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&endpoint).keeping(&folder.path().join("gone")).start();
    let refused = rig.handle.set_by_hand(request(Fault { error: Some(503), ..NOTHING }, 1_000), "uid 7".into());
    assert!(matches!(refused, Err(OverrideError::NotSaved(_))), "{refused:?}");
    assert_eq!((rig.get("/").await.status, rig.handle.set_rows().len()), (200, 0));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let rig = proxy().start();
    let refused = |request: OverrideRequest| rig.handle.set_by_hand(request, "uid 7".into()).unwrap_err().to_string();
    let elsewhere = Setting::Fault { route: "elsewhere".into(), fault: Fault { reset: true, ..NOTHING } };
    let elsewhere = OverrideRequest { setting: elsewhere, for_ms: Some(1), why: None };
    assert_eq!(refused(elsewhere.clone()), "there is no route `elsewhere`");
    let unending = OverrideRequest { for_ms: None, ..elsewhere };
    assert_eq!(refused(unending), "a fault lasts a limited time");
    for (fault, why) in [
        (NOTHING, "a fault delays, answers with an error, or resets"),
        (Fault { share_percent: 0.0, reset: true, ..NOTHING }, "a share is above 0 and up to 100 percent"),
        (Fault { share_percent: f64::NAN, reset: true, ..NOTHING }, "a share is above 0 and up to 100 percent"),
        (Fault { error: Some(200), ..NOTHING }, "an error is a status from 400 to 599"),
        (Fault { error: Some(503), reset: true, ..NOTHING }, "a try is answered with an error or reset, not both"),
        (Fault { delay_ms: u64::MAX, ..NOTHING }, "a delay is up to an hour"),
    ] {
        assert_eq!(refused(request(fault, 1_000)), why);
    }
    assert_eq!(refused(request(Fault { reset: true, ..NOTHING }, 0)), "it can last from a millisecond to a year");
}
