//! What an application finds when it looks around.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use runtime::{Cgroups, Limits, Spec, Stream};

use crate::rig::{Rig, exists, is_root, rig, start, text};

const STRANGER: u32 = 61_234;

async fn stdout_of(spec: Spec) -> Vec<String> {
    let (outputs, exit) = start(spec).await.finish().await;
    assert!(exit.end.ended.is_success(), "{outputs:?}");
    text(&outputs, Stream::Stdout)
}

/// As its own user where the test may do that.
fn as_stranger(rig: &Rig, command: &str) -> Spec {
    std::fs::set_permissions(rig.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Spec { uid: is_root().then_some(STRANGER), ..rig.spec(command) }
}

#[tokio::test]
async fn it_has_three_descriptors_and_none_of_forebays() {
    // A descriptor that is not close-on-exec, as a careless library of the node might open one.
    let leaky = std::fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    // `exec` makes ls itself the application; 3 is the folder that it reads.
    let rig = rig();
    let fds = stdout_of(rig.spec("ls -l /proc/self/fd")).await;
    let fds: Vec<_> = fds
        .iter()
        .filter_map(|line| {
            line.split_once(" -> ").map(|(name, to)| (name.rsplit(' ').next().unwrap().to_owned(), to.to_owned()))
        })
        .collect();
    assert_eq!(fds.len(), 4, "{fds:?}");
    assert_eq!(fds[0], ("0".into(), "/dev/null".into()));
    assert!(fds[1].1.starts_with("pipe:") && fds[2].1.starts_with("pipe:") && fds[1].1 != fds[2].1, "{fds:?}");
    assert!(fds[3].1.starts_with("/proc/"), "{fds:?}");
}

#[tokio::test]
async fn its_environment_is_what_was_asked_for_and_where_the_secrets_are() {
    let rig = rig();
    let env = [("PATH", "/usr/bin:/bin"), ("PORT", "20001"), ("EMPTY", ""), ("WORDS", "a b\n=c")];
    let env = env.map(|(name, value)| (name.into(), value.into())).to_vec();
    let said = stdout_of(Spec { env, ..rig.spec("env -0 | tr '\\0\\n' '\\n~'") }).await;
    let mut said: BTreeSet<_> = said.iter().map(String::as_str).collect();
    said.remove("PWD=/");
    let pwd = format!("PWD={}", rig.folder.path().display());
    said.remove(pwd.as_str()); // the shell's own
    let secrets = said.iter().find(|line| line.starts_with("FOREBAY_SECRETS=")).map(|line| line.to_string());
    said.retain(|line| !line.starts_with("FOREBAY_SECRETS="));
    assert_eq!(said, BTreeSet::from(["PATH=/usr/bin:/bin", "PORT=20001", "EMPTY=", "WORDS=a b~=c"]));
    assert!(secrets.is_some());
}

#[tokio::test]
async fn it_leads_a_session_of_its_own_in_its_folder_and_keeps_its_files_to_itself() {
    let rig = rig();
    let command = "read pid name state ppid pgrp session rest < /proc/self/stat; echo $pid $pgrp $session; pwd; umask";
    let said = stdout_of(rig.spec(&format!("exec sh -c '{command}'"))).await;
    let ids: BTreeSet<_> = said[0].split(' ').collect();
    assert_eq!(ids.len(), 1, "{}", said[0]);
    assert_eq!(said[1], rig.folder.path().to_str().unwrap());
    assert_eq!(said[2], "0077");
}

#[tokio::test]
async fn no_signal_is_ignored_or_blocked_and_no_privilege_can_be_gained() {
    let rig = rig();
    let said = stdout_of(rig.spec("exec grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status")).await;
    let values: Vec<_> = said.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(values, [["SigBlk:", "0000000000000000"], ["SigIgn:", "0000000000000000"], ["NoNewPrivs:", "1"]]);
}

#[tokio::test]
async fn it_has_the_open_files_that_it_was_promised_and_no_core_files() {
    let rig = rig();
    let limits = Limits { open_files_max: Some(123), ..Limits::default() };
    assert_eq!(stdout_of(Spec { limits, ..rig.spec("ulimit -n; ulimit -c") }).await, ["123", "0"]);
}

/// Not a test: the next one runs it in a process of its own, because the limit is the whole process's.
#[tokio::test]
#[ignore = "run by the next test"]
async fn a_node_that_raises_its_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: hard }).unwrap();
    assert_eq!(runtime::raise_nofile().unwrap(), hard);
    assert_eq!(getrlimit(Resource::Nofile).current, hard);
    let rig = rig();
    assert_eq!(stdout_of(rig.spec("ulimit -n")).await, ["256"]);
}

#[test]
fn the_nodes_own_limit_of_open_files_is_not_passed_on() {
    let test = "surroundings::a_node_that_raises_its_limit";
    let mut node = std::process::Command::new(std::env::current_exe().unwrap());
    let done = node.args(["--exact", test, "--ignored"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test]
async fn secrets_are_private_files_in_memory_and_gone_with_it() {
    let rig = rig();
    let command = "cd $FOREBAY_SECRETS && pwd && stat -c '%a %u %n' . DB_PASSWORD && stat -f -c %T . && cat DB_PASSWORD && \
                   touch beside && env | grep -c hunter2; tr '\\0' ' ' < /proc/$PPID/cmdline | grep -c hunter2; true";
    let spec = Spec { secrets: vec![("DB_PASSWORD".into(), b"hunter2\n".to_vec())], ..as_stranger(&rig, command) };
    let uid = spec.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let running = start(spec).await;
    let folder = running.ticket().secrets_folder.clone().unwrap();
    let (outputs, _) = running.finish().await;
    let said = text(&outputs, Stream::Stdout);
    let folder_line = format!("700 {uid} .");
    let file_line = format!("400 {uid} DB_PASSWORD");
    assert_eq!(said, [folder.to_str().unwrap(), &folder_line, &file_line, "tmpfs", "hunter2", "0", "0"]);
    assert!(!exists(&folder), "{} is still there", folder.display());
}

#[tokio::test]
async fn secrets_go_where_they_are_wished_when_that_is_in_memory_and_within_reach() {
    let rig = rig();
    let memory = tempfile::Builder::new().prefix("fb-").tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(memory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let wished = memory.path().join("web.17");
    let private = start(Spec { secrets_folder: wished.clone(), ..rig.spec("sleep 1000") }).await;
    assert_eq!(private.ticket().secrets_folder.as_ref(), Some(&wished));
    if is_root() {
        // The folder above is 0700: another user could not pass.
        let wished = memory.path().join("web.18");
        let socket = rig.path("web.18.sock");
        let other = Spec { secrets_folder: wished.clone(), socket, ..as_stranger(&rig, "sleep 1000") };
        let other = start(other).await;
        let chosen = other.ticket().secrets_folder.clone().unwrap();
        assert!(chosen.starts_with("/dev/shm") && chosen != wished, "{}", chosen.display());
        other.control().kill();
        other.finish().await;
    }
    private.control().kill();
    private.finish().await;
}

#[tokio::test]
async fn as_root_it_is_a_user_of_its_own_with_no_groups_and_no_capabilities() {
    if !is_root() {
        return;
    }
    let rig = rig();
    let running = start(as_stranger(&rig, "exec grep -E '^(Uid|Gid|Groups|CapEff|CapPrm):' /proc/self/status")).await;
    assert_eq!(running.ticket().isolation.to_string(), "uid");
    let (outputs, _) = running.finish().await;
    let said: Vec<_> =
        text(&outputs, Stream::Stdout).iter().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let ids = [STRANGER.to_string(), STRANGER.to_string(), STRANGER.to_string(), STRANGER.to_string()].join(" ");
    let none = "0000000000000000";
    let wanted = [
        format!("Uid: {ids}"),
        format!("Gid: {ids}"),
        "Groups:".into(),
        format!("CapPrm: {none}"),
        format!("CapEff: {none}"),
    ];
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn another_user_cannot_read_what_init_knows() {
    if !is_root() {
        return;
    }
    let rig = rig();
    let command = "cat /proc/$PPID/environ /proc/$PPID/mem > stolen; ls /proc/$PPID/fd; kill -9 $PPID; echo tried";
    let (outputs, _) = start(as_stranger(&rig, command)).await.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["tried"]);
}

#[tokio::test]
async fn a_control_group_limits_it_where_the_machine_allows_it() {
    let rig = rig();
    let limits = Limits { memory_bytes_max: Some(64 << 20), pids_max: Some(20), ..Limits::default() };
    let greedy = "python3 -c 'b = bytearray(256 << 20); print(len(b))'; echo $?";
    // A name that no other test and no other run of this one has.
    let scope = format!("greedy-{}/production", std::process::id()).parse().unwrap();
    let spec = Spec { scope, limits, cgroups: Cgroups::WhereAllowed, ..rig.spec(greedy) };
    let name = format!("forebay/greedy-{}-production-web.17", std::process::id());
    let running = start(spec).await;
    let ticket = running.ticket().clone();
    let notes = running.instance().notes.clone();
    let (outputs, exit) = running.finish().await;
    if !ticket.isolation.cgroup {
        assert!(!notes.is_empty(), "not limited, and nobody says why");
        return;
    }
    assert_eq!(text(&outputs, Stream::Stdout), ["137"], "{outputs:?}");
    assert!(exit.end.oom_kills >= 1);
    assert!(ticket.cgroups.iter().all(|folder| folder.ends_with(&name) && !exists(folder)), "{ticket:?}");
}

#[tokio::test]
async fn two_instances_of_one_name_do_not_share_a_control_group() {
    let (one, two) = (rig(), rig());
    let spec = |rig: &Rig| {
        let limits = Limits { pids_max: Some(50), ..Limits::default() };
        Spec { limits, cgroups: Cgroups::WhereAllowed, ..rig.spec("sleep 1000") }
    };
    let (first, second) = (start(spec(&one)).await, start(spec(&two)).await);
    for folder in &first.ticket().cgroups {
        assert!(!second.ticket().cgroups.contains(folder));
    }
    for running in [first, second] {
        running.control().kill();
        running.finish().await;
    }
}
