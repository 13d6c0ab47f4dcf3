//! Deploy, reject, roll back, scale.

use axum::body::Body;
use control::error::Kind;
use control::wire::Progress;
use deploy::AtStop;

use crate::rig::{Rig, WEB};

const TWO_WEBS: &str = "web 2 routed python3 web.py\nworker 1 worker sleep 1000";

fn phases(lines: &[Progress]) -> Vec<String> {
    let phase = |line: &Progress| match line {
        Progress::Phase { step, steps, what } => Some(format!("{step}/{steps} {what}")),
        _ => None,
    };
    lines.iter().filter_map(phase).collect()
}

#[tokio::test]
async fn a_first_deploy_says_its_phases_and_serves() {
    let mut rig = Rig::new().await;
    let lines = rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await.unwrap();
    let said = phases(&lines);
    assert_eq!(
        said[1..],
        ["2/6 read the manifest", "3/6 start 2 web, 1 worker of v1", "4/6 wait until they are healthy", "5/6 switch",]
    );
    assert_eq!(rig.releases().await, ["v1 serving"]);
    let targets = rig.router.targets();
    assert_eq!(targets.len(), 2);
    assert!(rig.ask(targets[0]).await.starts_with("v1 "));
    let rows = rig.ps().await;
    let shown: Vec<_> = rows.iter().map(|r| (r.process.as_str(), r.state.as_str(), r.health.as_str())).collect();
    assert_eq!(shown, [("web", "running", "healthy"), ("web", "running", "healthy"), ("worker", "running", "none")]);
    assert!(rows.iter().all(|row| (row.port != 0) == (row.process.as_str() == "web")));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_second_release_takes_over_without_a_gap_and_a_rollback_brings_the_first_back() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(&format!("env COLOR green\n{TWO_WEBS}"), &[("web.py", WEB)])).await.unwrap();
    let first = rig.pids("web").await;
    let workers = rig.pids("worker").await;
    rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB), ("new", "")])).await.unwrap();
    assert_eq!(rig.releases().await, ["v2 serving", "v1 retired"]);
    assert!(rig.pids("web").await.is_disjoint(&first), "all are new");
    assert!(rig.pids("worker").await.is_disjoint(&workers), "workers are replaced too");
    assert!(rig.ask(rig.router.targets()[0]).await.starts_with("v2 "));

    rig.change("/v1/apps/shop/rollback", Body::empty()).await.unwrap();
    assert_eq!(rig.releases().await, ["v3 serving", "v2 retired", "v1 retired"]);
    assert!(rig.ask(rig.router.targets()[0]).await.starts_with("v3 "));
    let pid = *rig.pids("web").await.first().unwrap();
    let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(env.split(|b| *b == 0).any(|line| line == b"COLOR=green"), "the configuration of v1 is back");
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert!(folder.ends_with("releases/shop/production/1"), "{folder:?}");

    assert_eq!(rig.router.fewest_targets(), 2, "there was never one target less");
    let error = rig.change("/v1/apps/shop/rollback?to=v9", Body::empty()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::NotFound, "release_not_found"));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn one_that_goes_to_the_background_is_told_to_stay() {
    let mut rig = Rig::new().await;
    let error = rig.deploy(&rig.source("worker 1 worker sleep 1000 & exit 0", &[])).await.unwrap_err();
    assert_eq!(error.code, "release_crashed");
    assert!(error.message.contains("exit code 0; it left 1 processes behind, which were killed"), "{}", error.message);
    assert!(error.hint.unwrap().contains("in the foreground"));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_release_for_which_there_are_no_ports_fails_and_what_was_started_is_stopped() {
    let mut rig = Rig::new().await;
    rig.stop(AtStop::StopInstances).await;
    rig.config.port_range.1 = rig.config.port_range.0;
    rig.start().await;
    let source = rig.source(TWO_WEBS, &[("web.py", WEB)]);
    let error = rig.deploy(&source).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.hint.as_deref()), ("ports_exhausted", Some("raise deploy.port_range")));
    rig.until("nothing runs", |rows| rows.is_empty()).await;
    let error = rig.deploy(&source).await.unwrap_err();
    assert_eq!(error.code, "ports_exhausted", "the port was given back and is not enough again");
    rig.stop(AtStop::StopInstances).await;
}

/// The client hangs up as soon as it hears the first word, as Ctrl-C of the command line does.
#[tokio::test]
async fn a_change_whose_client_goes_away_is_finished() {
    let mut rig = Rig::new().await;
    rig.deploy_and_hang_up(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await;
    rig.until("it serves", |rows| rows.iter().filter(|row| row.health == "healthy").count() == 2).await;
    rig.until_so("it has the traffic", |rig| rig.router.targets().len() == 2).await;
    assert_eq!(rig.releases().await, ["v1 serving"]);
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn a_release_that_crashes_is_rejected_with_its_last_words() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source(TWO_WEBS, &[("web.py", WEB)])).await.unwrap();
    let before = rig.pids("web").await;
    let broken = "import sys\nprint('no database', file=sys.stderr)\nsys.exit(3)";
    let error = rig.deploy(&rig.source(TWO_WEBS, &[("web.py", broken)])).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Rejected, "release_crashed"));
    assert_eq!(error.message, "release v2 of shop/production was rejected: web: exit code 3; v1 serves on");
    assert_eq!(error.details, ["no database"]);
    assert_eq!(rig.releases().await, ["v2 failed", "v1 serving"]);
    assert_eq!(rig.pids("web").await, before, "the old ones were never touched");
    assert_eq!(rig.router.fewest_targets(), 2);
    rig.until("the rejected instances are gone", |rows| rows.iter().all(|row| row.release.0 == 1)).await;
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn an_unhealthy_release_and_a_missing_command_say_which_rule_failed() {
    let mut rig = Rig::with(deploy::config::Config { healthy_timeout_ms: 1_500, ..Default::default() }).await;
    let error = rig.deploy(&rig.source("web 1 routed sleep 1000", &[])).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Rejected, "release_unhealthy"));
    assert!(error.message.contains("web.1 is not healthy within 1.5 s: GET /up on port 2"), "{}", error.message);
    assert!(error.message.contains("connection refused; nothing serves"), "{}", error.message);
    let error = rig.deploy(&rig.source("web 1 routed no-such-command", &[])).await.unwrap_err();
    assert_eq!(error.code, "command_not_found");
    assert!(error.details[0].contains("no-such-command"), "{:?}", error.details);
    let error = rig.deploy(&rig.source("nonsense", &[])).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Usage, "manifest_malformed"));
    assert_eq!(rig.releases().await, ["v2 failed", "v1 failed"], "a bad manifest is no release");
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn one_change_at_a_time_unless_somebody_waits() {
    let mut rig = Rig::with(deploy::config::Config { healthy_timeout_ms: 2_000, ..Default::default() }).await;
    rig.deploy(&rig.source("web 1 routed python3 web.py", &[("web.py", WEB)])).await.unwrap();
    let never_healthy = rig.source("web 1 routed sleep 1000", &[]);
    let good = rig.source("web 1 routed python3 web.py", &[("web.py", WEB), ("b", "")]);
    let refused = async {
        rig.until("the second release starts", |rows| rows.iter().any(|row| row.release.0 == 2)).await;
        let refused = rig.deploy(&good).await.unwrap_err();
        let waited = rig.deploy_as(&good, "/v1/deploys?app=shop&wait=true").await;
        (refused, waited)
    };
    let (rejected, (refused, waited)) = tokio::join!(rig.deploy(&never_healthy), refused);
    assert_eq!(rejected.unwrap_err().kind, Kind::Rejected);
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "deploy_in_progress"));
    assert!(matches!(waited.unwrap().last(), Some(Progress::Done { .. })));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn scale_adds_and_takes_away_and_stays() {
    let mut rig = Rig::new().await;
    let source = rig.source(TWO_WEBS, &[("web.py", WEB)]);
    rig.deploy(&source).await.unwrap();
    let two = rig.pids("web").await;
    rig.change("/v1/apps/shop/scale", Body::from(r#"{"web": 3, "worker": 0}"#)).await.unwrap();
    let three = rig.pids("web").await;
    assert!(three.len() == 3 && three.is_superset(&two), "those that ran run on");
    assert!(rig.pids("worker").await.is_empty());
    assert_eq!(rig.router.targets().len(), 3);
    rig.change("/v1/apps/shop/scale", Body::from(r#"{"web": 1}"#)).await.unwrap();
    assert_eq!(rig.router.targets().len(), 1);
    rig.deploy(&source).await.unwrap();
    assert_eq!(rig.router.targets().len(), 1, "a deploy keeps the scale");
    rig.stop(AtStop::StopInstances).await;
    rig.start().await;
    rig.until("it runs as scaled", |rows| rows.len() == 1 && rows[0].state == "running").await;
    let error = rig.change("/v1/apps/shop/scale", Body::from(r#"{"cron": 1}"#)).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.hint.as_deref()),
        ("process_not_found", Some("its processes are: web, worker"))
    );
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn old_releases_and_their_sources_go() {
    let mut rig = Rig::with(deploy::config::Config { releases_max: 1, ..Default::default() }).await;
    for n in 0..4 {
        rig.deploy(&rig.source("worker 1 worker sleep 1000", &[("n", &n.to_string())])).await.unwrap();
    }
    assert_eq!(rig.releases().await, ["v4 serving", "v3 retired"]);
    let home = rig.dir.path().join("data/releases/shop/production");
    let mut left: Vec<_> = std::fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["3", "4"]);
    // v5 = v3's source; v3 itself is forgotten one deploy later, its folder stays while v5 needs it.
    rig.change("/v1/apps/shop/rollback", Body::empty()).await.unwrap();
    assert_eq!(rig.releases().await, ["v5 serving", "v4 retired"]);
    assert!(home.join("3").is_dir());
    rig.stop(AtStop::StopInstances).await;
}

/// Only root can give users; elsewhere there is nothing to see.
#[tokio::test]
async fn as_root_an_application_runs_as_its_own_user_and_cannot_write_its_source() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut rig = Rig::new().await;
    std::fs::set_permissions(rig.dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    rig.stop(AtStop::StopInstances).await;
    rig.users = true;
    rig.start().await;
    let show = "worker 1 worker id -u; cat words; touch made 2>/dev/null || echo read only; sleep 1000";
    rig.deploy(&rig.source(show, &[("words", "hello\n")])).await.unwrap();
    assert_eq!(rig.log.said(), ["60000", "hello", "read only"]);
    assert!(rig.ps().await[0].isolation.contains("uid"));
    rig.stop(AtStop::StopInstances).await;
}

#[tokio::test]
async fn who_did_what_is_written_down() {
    let mut rig = Rig::new().await;
    rig.deploy(&rig.source("worker 1 worker sleep 1000", &[])).await.unwrap();
    rig.change("/v1/apps/shop/scale", Body::from(r#"{"worker": 2}"#)).await.unwrap();
    rig.deploy(&rig.source("worker 1 worker false", &[])).await.unwrap_err();
    rig.stop(AtStop::StopInstances).await;
    let rows = rig.store().await.audit_rows(10).await.unwrap();
    let said: Vec<_> = rows.iter().rev().map(|r| format!("{} {} {}", r.what, r.target, r.outcome)).collect();
    assert_eq!(said, ["deploy v1 ok", "scale worker=2 ok", "deploy v2 release_crashed"]);
}
