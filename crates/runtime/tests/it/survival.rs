//! What is left when the node or the init is killed, and how a new node finds it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use runtime::{AdoptError, Event, Limits, Spec, Ticket, procs};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::rig::{Running, account, eventually, exists, gone, init_exe, lines, rig, start};

async fn adopt(ticket: &Ticket) -> Running {
    Running::of(runtime::adopt(ticket).await.unwrap())
}

/// Not a test: the node that the next test kills. It starts an instance, prints the ticket and waits.
#[tokio::test]
#[ignore = "run by the next test"]
async fn a_node_that_will_be_killed() {
    let Some(folder) = std::env::var_os("FOREBAY_TEST_FOLDER") else { return };
    let mut spec = rig().spec("i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done; until [ -e go ]; do sleep 0.01; done; echo after");
    spec.folder = folder.clone().into();
    spec.socket = std::path::Path::new(&folder).join("web.17.sock");
    let instance = runtime::start(spec, &init_exe()).await.unwrap();
    println!("\nticket {}", serde_json::to_string(&instance.ticket).unwrap());
    std::future::pending::<()>().await;
}

async fn survives(signal: Signal) {
    let rig = rig();
    let mut node = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "survival::a_node_that_will_be_killed", "--ignored", "--nocapture"])
        .env("FOREBAY_TEST_FOLDER", rig.folder.path())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let said = BufReader::new(node.stdout.take().unwrap()).lines();
    let ticket = said.map(Result::unwrap).find_map(|line| line.strip_prefix("ticket ").map(str::to_owned));
    let ticket: Ticket = serde_json::from_str(&ticket.expect("the node says its ticket")).unwrap();

    let group = Pid::from_raw(node.id().cast_signed()).unwrap();
    kill_process_group(group, signal).unwrap();
    assert!(!node.wait().unwrap().success());

    assert!(procs::lives(ticket.child_pid, ticket.child_start) && ticket.init_lives(), "it went with the node");
    let again = adopt(&ticket).await;
    assert_eq!(*again.ticket(), ticket, "the same processes");
    std::fs::write(rig.path("go"), "").unwrap();
    let (outputs, _) = again.finish().await;
    assert_eq!(account(&outputs), (101, 0), "what nobody had acknowledged is told again");
}

#[tokio::test]
async fn an_instance_survives_its_node_that_is_killed() {
    survives(Signal::KILL).await;
}

#[tokio::test]
async fn an_instance_survives_ctrl_c_in_the_nodes_terminal() {
    survives(Signal::INT).await;
}

#[tokio::test]
async fn only_what_was_not_acknowledged_is_told_again() {
    let rig = rig();
    let mut running =
        start(rig.spec("for i in 1 2 3 4; do echo $i; done; until [ -e go ]; do sleep 0.01; done; echo 5")).await;
    running.until_line("4").await;
    running.control().ack(2);
    running.control().term(); // is sent behind the acknowledgement, so that its effect shows that both have arrived
    running.until_exit().await;
    let ticket = running.ticket().clone();
    running.hang_up().await;

    let (outputs, exit) = adopt(&ticket).await.finish().await;
    assert!(outputs.iter().all(|output| output.last_seq() > 2), "{outputs:?}");
    assert_eq!(exit.end.to_string(), "killed by SIGTERM");
}

#[tokio::test]
async fn nodes_may_come_and_go_in_the_middle_of_a_stream_and_nothing_is_lost() {
    let rig = rig();
    let stream = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; [ $((i % 500)) -gt 0 ] || until [ -e $i ]; do sleep 0.01; done; done";
    let mut running = start(rig.spec(stream)).await;
    let mut heard = BTreeMap::new();
    for stop in [500, 1000, 1500, 2000, 2500] {
        running.until_line(&format!("line {stop}")).await;
        running.control().ack(stop - 250);
        let outputs = std::mem::take(&mut running.outputs);
        let ticket = running.hang_up().await;
        // It writes on while nobody listens.
        std::fs::write(rig.path(&stop.to_string()), "").unwrap();
        running = adopt(&ticket).await;
        for line in lines(&outputs) {
            let again = heard.insert(line.seq, line.bytes.clone());
            assert!(again.is_none_or(|before| before == line.bytes), "one number, two lines");
        }
    }
    std::fs::write(rig.path("3000"), "").unwrap();
    let (outputs, exit) = running.finish().await;
    heard.extend(lines(&outputs).into_iter().map(|line| (line.seq, line.bytes)));
    let wanted: BTreeMap<_, _> = (1..=3000).map(|i| (i, format!("line {i}").into_bytes())).collect();
    assert_eq!(heard, wanted);
    assert_eq!(exit.seq, 3001);
}

#[tokio::test]
async fn without_a_node_output_is_kept_up_to_the_bound_and_counted_beyond_it() {
    let rig = rig();
    let limits = Limits { output_bytes_max: 64 << 10, message_bytes_max: 1024, ..Limits::default() };
    let flood = "until [ -e go ]; do sleep 0.01; done; yes 0123456789 | head -n 50000; touch through; sleep 1000";
    let ticket = start(Spec { limits, stdout_block_ms: 0, ..rig.spec(flood) }).await.hang_up().await;
    std::fs::write(rig.path("go"), "").unwrap();
    eventually("the application is through without a node", || rig.path("through").exists()).await;

    let again = adopt(&ticket).await;
    again.control().kill();
    let (outputs, _) = again.finish().await;
    let (delivered, dropped) = account(&outputs);
    assert_eq!(delivered + dropped, 50_000);
    assert!(delivered > 1_000 && dropped > 40_000, "{delivered} delivered, {dropped} dropped");
}

#[tokio::test]
async fn an_instance_whose_ticket_was_never_stored_is_found_by_its_socket() {
    let rig = rig();
    assert!(matches!(runtime::adopt_at(&rig.path("web.17.sock")).await, Err(AdoptError::Gone { .. })));
    let ticket = rig.run("sleep 1000").await.hang_up().await;
    let found = Running::of(runtime::adopt_at(&ticket.socket).await.unwrap());
    assert_eq!(*found.ticket(), ticket);
    found.control().kill();
    found.finish().await;
}

#[tokio::test]
async fn when_init_is_killed_the_node_hears_it_and_the_application_is_an_orphan() {
    let rig = rig();
    let spec = Spec { secrets: vec![("KEY".into(), b"1".to_vec())], ..rig.spec("sleep 1000 & echo ready; wait") };
    let mut running = start(spec).await;
    running.until_line("ready").await;
    let ticket = running.ticket().clone();
    assert!(procs::signal(ticket.init_pid, ticket.init_start, Signal::KILL));
    assert!(matches!(running.event().await, Some(Event::Lost)));
    gone(&ticket).await;

    let orphan = match runtime::adopt(&ticket).await {
        Err(AdoptError::Orphan(orphan)) => orphan,
        other => panic!("{other:?}"),
    };
    assert_eq!(orphan.processes, 2);
    assert!(orphan.kill().await);
    assert!(ticket.processes().is_empty());
    assert!(!exists(&ticket.socket) && !exists(ticket.secrets_folder.as_ref().unwrap()));
    assert!(matches!(runtime::adopt(&ticket).await, Err(AdoptError::Gone { unclaimed: None })));
}

#[tokio::test]
async fn a_reused_process_id_is_not_taken_for_ours() {
    let rig = rig();
    let running = rig.run("sleep 1000").await;
    // Both numbers belong to somebody who started at another time: this test.
    let me = std::process::id();
    let ticket = Ticket {
        init_pid: me,
        init_start: procs::start_time(me).unwrap() - 1,
        child_pid: me,
        child_start: procs::start_time(me).unwrap() - 1,
        socket: rig.path("other.sock"),
        ..running.ticket().clone()
    };
    let ticket = Ticket { secrets_folder: None, ..ticket };
    assert!(matches!(runtime::adopt(&ticket).await, Err(AdoptError::Gone { unclaimed: None })));
    let other_boot = Ticket { boot: "another".into(), secrets_folder: None, ..running.ticket().clone() };
    assert!(!other_boot.init_lives() && other_boot.processes().is_empty());
}
