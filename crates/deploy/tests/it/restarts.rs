//! Crashes of instances and of the node.

use control::wire::InstanceRow;
use deploy::AtStop;

use crate::rig::{Rig, WEB, is_gone, kill, parent, until_gone};

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
    assert_eq!(std::fs::read_dir(rig.dir.path().join("run")).unwrap().count(), 0, "no run leaves anything behind");
    assert_eq!(rig.store().await.instances().await.unwrap(), []);
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
    let victim = *before.first().unwrap();
    kill(victim);
    until_gone(victim).await;
    rig.start().await;
    assert_eq!(rig.router.targets().len(), 1, "the dead one is not even in the first table");
    let healthy = |r: &InstanceRow| r.pid != victim && r.state == "running" && r.health == "healthy";
    let rows = rig.until("two run", |rows| rows.iter().filter(|row| healthy(row)).count() == 2).await;
    assert_eq!(rows.iter().filter(|row| before.contains(&row.pid)).count(), 1);
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_killed_init_takes_its_orphan_with_it() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source("worker 1 worker sleep 1000", &[])).await.unwrap();
    let pid = *rig.pids("worker").await.first().unwrap();
    kill(parent(pid));
    rig.until("another runs", |rows| rows.iter().any(|row| row.pid != pid && row.state == "running")).await;
    assert!(is_gone(pid), "nothing runs twice");
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn one_that_stays_unhealthy_is_restarted() {
    // The first one stops answering `/up` when it is asked for anything else.
    let moody = WEB
        .replace("        self.send_response(200)", "        up = self.path == '/up'\n        if not up: open('../sick', 'w')\n        self.send_response(503 if up and os.path.exists('../sick') and not os.path.exists('../well') else 200)");
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source("web 1 routed python3 web.py", &[("web.py", &moody)])).await.unwrap();
    let before = *rig.pids("web").await.first().unwrap();
    rig.ask(rig.router.targets()[0]).await;
    let rows = rig.until("it is unhealthy", |rows| rows.iter().any(|row| row.health == "unhealthy")).await;
    assert_eq!((rows[0].pid, rig.router.targets().len()), (before, 0), "no requests, and time to get well");
    rig.until("another process", |rows| rows.iter().all(|row| row.pid != before)).await;
    assert!(is_gone(before));
    std::fs::write(rig.dir.path().join("data/releases/shop/production/well"), "").unwrap();
    let rows = rig.until("it is well", |rows| rows.iter().any(|row| row.health == "healthy")).await;
    assert!(rows[0].restarts >= 1);
    assert_eq!(rig.router.targets().len(), 1);
    rig.stop(AtStop::StopInstances).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The runtime is dropped with all tasks and connections in the middle of what they do: what `kill -9` leaves.
#[test]
fn a_node_killed_in_the_middle_of_a_deploy_gives_it_up_and_keeps_what_served() {
    let node = runtime();
    let (mut rig, before, late) = node.block_on(async {
        let rig = Rig::new().await;
        rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await.unwrap();
        let before = rig.pids("web").await;
        let never_healthy = rig.source("web 1 routed sleep 1000", &[]);
        let rows = tokio::select! {
            ended = rig.deploy(&never_healthy) => panic!("{ended:?}"),
            rows = rig.until("it starts", |rows| rows.iter().any(|r| r.release.0 == 2 && r.pid != 0)) => rows,
        };
        let late = rows.iter().find(|row| row.release.0 == 2).unwrap().pid;
        (rig, before, late)
    });
    rig.killed();
    drop(node);
    runtime().block_on(async {
        rig.start().await;
        assert_eq!(rig.releases().await, ["v2 failed", "v1 serving"]);
        assert_eq!(rig.pids("web").await, before);
        assert_eq!(rig.router.targets().len(), 2);
        until_gone(late).await;
        rig.stop(AtStop::StopInstances).await;
    });
}

#[tokio::test]
async fn an_instance_whose_ticket_was_never_written_is_found_by_its_socket() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source("worker 2 worker sleep 1000", &[])).await.unwrap();
    let before = rig.pids("worker").await;
    rig.stop(AtStop::LeaveInstances).await;
    let store = rig.store().await;
    let first = store.instances().await.unwrap().remove(0);
    store.instance_started(first.id.serial, "cut short".into()).await.unwrap();
    let ghost = state::instances::NewInstance {
        scope: first.scope,
        process: first.id.process,
        release: first.release,
        port: None,
        uid: None,
        sockets: rig.dir.path().join("run"),
        restarts: 0,
        started: first.started,
    };
    store.instance_create(ghost).await.unwrap();
    drop(store);
    rig.start().await;
    assert_eq!(rig.pids("worker").await, before, "both are found, and the one that was never started is not missed");
    rig.stop(AtStop::StopInstances).await;
    assert_eq!(rig.store().await.instances().await.unwrap(), []);
}
