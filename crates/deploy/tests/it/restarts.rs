//! Crashes of instances and of the node.

use deploy::AtStop;

use crate::rig::{Rig, WEB, kill};

const TWO_WEBS: &str = "web 2 routed python3 web.py";

#[tokio::test]
async fn a_killed_instance_leaves_the_table_at_once_and_comes_back() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await.unwrap();
    let before = rig.pids("web").await;
    let victim = *before.first().unwrap();
    kill(victim);
    rig.until("it is out of the table or back", |rows| rows.iter().all(|row| row.pid != victim)).await;
    let rows = rig
        .until("two run again", |rows| {
            rows.iter().filter(|r| r.state == "running" && r.health == "healthy").count() == 2
        })
        .await;
    assert_eq!(rig.router.targets().len(), 2);
    assert_eq!(rig.router.fewest_targets(), 1, "the dead one had left the table");
    assert_eq!(rows.iter().map(|row| row.restarts).max(), Some(1));
    assert_eq!(rows.iter().filter(|row| before.contains(&row.pid)).count(), 1, "the other one was left alone");
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn crash_after_crash_is_called_a_loop() {
    let config = deploy::config::Config { restart_backoff_max_ms: 60, crash_loop_after: 3, ..Default::default() };
    let mut rig = Rig::with(config).await;
    rig.deploy(&rig.source("worker 1 worker sleep 0.7; echo bye; exit 9", &[])).await.unwrap();
    let rows = rig.until("a crash loop", |rows| rows.iter().any(|row| row.state == "crash-loop")).await;
    assert_eq!((rows[0].reason.as_deref(), rows[0].restarts), (Some("exit code 9"), 3));
    assert_eq!(rig.releases().await, ["v1 serving"], "a crash after the switch is no failed release");
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_restarted_node_finds_the_same_processes() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(&format!("{TWO_WEBS}\nworker 1 worker sleep 1000"), &[("web.py", WEB)])).await.unwrap();
    let (webs, workers, targets) = (rig.pids("web").await, rig.pids("worker").await, rig.router.targets());
    rig.stop(AtStop::LeaveInstances).await;
    rig.start().await;
    assert_eq!(rig.router.targets(), targets, "they serve from the first table on");
    assert_eq!((rig.pids("web").await, rig.pids("worker").await), (webs, workers));
    assert_eq!(rig.log.said().iter().filter(|line| *line == "ready").count(), 2, "no line is stored twice");
    rig.stop(AtStop::StopInstances).await;
    assert_eq!(std::fs::read_dir(rig.dir.path().join("run")).unwrap().count(), 0, "nothing is left of them");
}

#[tokio::test]
async fn what_died_while_nobody_watched_is_started_again() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await.unwrap();
    let before = rig.pids("web").await;
    rig.stop(AtStop::LeaveInstances).await;
    kill(*before.first().unwrap());
    rig.start().await;
    let rows = rig
        .until("two run", |rows| rows.iter().filter(|r| r.state == "running" && r.health == "healthy").count() == 2)
        .await;
    assert_eq!(rows.iter().filter(|row| before.contains(&row.pid)).count(), 1);
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_killed_init_takes_its_orphan_with_it() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source("worker 1 worker sleep 1000", &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    kill(parent);
    rig.until("another runs", |rows| rows.iter().any(|row| row.pid != pid && row.state == "running")).await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "nothing runs twice");
    rig.stop(AtStop::StopInstances).await;
}
