//! Instances that do not want to end, or whose init does not answer: none ever runs twice.

use std::time::{Duration, Instant};

use axum::body::Body;
use deploy::AtStop;
use rustix::process::Signal;

use crate::rig::{Rig, is_gone, parent, signal};

const ONE: &str = "worker 1 worker sleep 1000\nstop worker 300";

#[tokio::test]
async fn one_that_ignores_term_is_killed_after_its_stop_timeout() {
    let mut rig = Rig::new().await;
    let stubborn = "worker 1 worker trap '' TERM; echo up; while :; do sleep 0.1; done\nstop worker 700";
    rig.deploy(&rig.source(stubborn, &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    let begun = Instant::now();
    rig.change("/v1/apps/shop/scale", Body::from(r#"{"worker": 0}"#)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(700), "it had its time");
    assert!(begun.elapsed() < Duration::from_secs(5), "and not much more: {:?}", begun.elapsed());
    assert!(is_gone(pid));
    assert!(rig.ps().await.is_empty());
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn one_whose_init_is_stuck_is_killed_without_its_help() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(ONE, &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    let init = parent(pid);
    signal(init, Signal::STOP);
    rig.change("/v1/apps/shop/scale", Body::from(r#"{"worker": 0}"#)).await.unwrap();
    assert!(is_gone(pid) && is_gone(init));
    assert!(rig.ps().await.is_empty());
    rig.stop(AtStop::StopInstances).await;
    assert_eq!(std::fs::read_dir(rig.dir.path().join("run")).unwrap().count(), 0, "nothing is left of it");
}

/// It takes its time: an init has ten seconds for an answer, three times.
#[tokio::test]
async fn one_whose_init_does_not_answer_a_new_node_keeps_its_place_until_it_is_dead() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(ONE, &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    rig.stop(AtStop::LeaveInstances).await;
    let init = parent(pid);
    signal(init, Signal::STOP);
    rig.start().await;
    let rows = rig.ps().await;
    assert_eq!((rows.len(), rows[0].pid), (1, pid), "no second one is started beside it");
    assert_eq!(rows[0].reason.as_deref(), Some("its init does not answer"));
    let rows = rig
        .until_long("another one runs", |rows| {
            assert!(rows.len() <= 1, "{rows:#?}");
            let other = rows.iter().any(|row| row.pid != pid && row.state == "running");
            assert!(!other || is_gone(pid), "two run in one place");
            other
        })
        .await;
    assert_eq!(rows[0].restarts, 1);
    assert!(is_gone(init));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn an_init_that_answers_late_is_adopted_after_all() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(ONE, &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    rig.stop(AtStop::LeaveInstances).await;
    let init = parent(pid);
    signal(init, Signal::STOP);
    rig.start().await;
    signal(init, Signal::CONT);
    let rows = rig.until("it runs", |rows| rows.iter().any(|row| row.state == "running")).await;
    assert_eq!((rows[0].pid, rows[0].restarts, rows[0].reason.clone()), (pid, 0, None));
    rig.stop(AtStop::StopInstances).await;
    assert!(is_gone(pid));
}
