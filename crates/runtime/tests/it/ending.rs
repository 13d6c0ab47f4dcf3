//! How an application ends, by itself or not, and that nothing is left of it.

use std::time::{Duration, Instant};

use runtime::{Ended, Stream, procs};

use crate::rig::{Running, eventually, exists, gone, rig, start, text};

async fn end_of(command: &str) -> String {
    rig().run(command).await.finish().await.1.end.to_string()
}

#[tokio::test]
async fn an_exit_is_told_as_code_or_signal() {
    assert_eq!(end_of("exit 0").await, "exit code 0");
    assert_eq!(end_of("exit 42").await, "exit code 42");
    assert_eq!(end_of("kill -SEGV $$").await, "killed by SIGSEGV");
    assert_eq!(end_of("kill -PIPE $$").await, "killed by SIGPIPE");
}

#[tokio::test]
async fn a_command_that_is_not_there_ends_with_127_and_the_shells_words() {
    let (outputs, exit) = rig().run("no-such-command --port 1").await.finish().await;
    assert_eq!(exit.end.to_string(), "exit code 127 (command not found)");
    assert!(text(&outputs, Stream::Stderr)[0].contains("no-such-command"));
}

#[tokio::test]
async fn term_is_a_request_that_an_application_may_answer_in_its_own_way() {
    let mut running = rig().run("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done").await;
    running.until_line("ready").await;
    running.control().term();
    let (outputs, exit) = running.finish().await;
    assert_eq!(exit.end.ended, Ended::Code(7));
    assert_eq!(text(&outputs, Stream::Stdout), ["ready", "bye"]);
}

#[tokio::test]
async fn kill_ends_what_ignores_term_and_its_grandchildren_wherever_they_hide() {
    let rig = rig();
    let hide = "trap '' TERM; (setsid sh -c 'echo $$ > hidden; exec sleep 1000' &) ; (sleep 1000 & echo $! > child; wait) & \
                until [ -s hidden ] && [ -s child ]; do sleep 0.01; done; echo ready; while :; do sleep 0.01; done";
    let mut running = rig.run(hide).await;
    running.until_line("ready").await;
    let pid = |file: &str| std::fs::read_to_string(rig.path(file)).unwrap().trim().parse::<u32>().unwrap();
    let hidden: Vec<_> = ["hidden", "child"].map(|file| (pid(file), procs::start_time(pid(file)).unwrap())).into();

    running.control().term();
    running.control().kill();
    let (_, exit) = running.finish().await;
    assert_eq!(exit.end.ended, Ended::Signal(9));
    for (pid, start) in hidden {
        eventually("the grandchild is gone", || !procs::lives(pid, start)).await;
    }
}

#[tokio::test]
async fn those_left_behind_may_finish_their_sentence_and_are_killed_then() {
    let rig = rig();
    let mut spec = rig.spec("echo first; (sleep 0.05; echo second; exec sleep 1000) & exit 3");
    spec.limits.drain_ms = 2_000;
    let begun = Instant::now();
    let (outputs, exit) = start(spec).await.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["first", "second"]);
    assert_eq!((exit.end.ended, exit.end.left_behind), (Ended::Code(3), 1));
    assert!(begun.elapsed() < Duration::from_secs(20), "they held up the end");
}

#[tokio::test]
async fn orphans_are_reaped() {
    let mut running = rig().run("for i in 1 2 3 4 5; do (sh -c 'exit 1' & ) ; done; echo ready; exec sleep 1000").await;
    running.until_line("ready").await;
    let init = running.ticket().init_pid;
    let zombies = || {
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter_map(procs::stat).filter(|stat| stat.ppid == init && stat.state == b'Z').count()
    };
    eventually("no zombie is left", || zombies() == 0).await;
    running.control().kill();
    running.finish().await;
}

#[tokio::test]
async fn nothing_is_left_when_it_is_over() {
    let rig = rig();
    let running = rig.run("true").await;
    let ticket = running.ticket().clone();
    running.finish().await;
    assert!(!exists(&ticket.socket));
    assert!(ticket.secrets_folder.is_none_or(|folder| !exists(&folder)));
}

#[tokio::test]
async fn the_end_waits_for_its_acknowledgement() {
    let rig = rig();
    let mut running = rig.run("echo last words; exit 9").await;
    let exit = running.until_exit().await;
    let ticket = running.hang_up().await;

    let mut again = Running::of(runtime::adopt(&ticket).await.unwrap());
    assert_eq!(again.until_exit().await, exit, "told once more");
    again.finish().await;
    assert!(matches!(runtime::adopt(&ticket).await, Err(runtime::AdoptError::Gone { unclaimed: None })));
}

#[tokio::test]
async fn an_end_that_nobody_comes_for_is_left_in_writing() {
    let rig = rig();
    let mut spec = rig.spec("until [ -e go ]; do sleep 0.01; done; rm go; echo last words; exit 9");
    spec.limits.unclaimed_ms = 50;
    let ticket = start(spec).await.hang_up().await;
    std::fs::write(rig.path("go"), "").unwrap();
    gone(&ticket).await;
    match runtime::adopt(&ticket).await {
        Err(runtime::AdoptError::Gone { unclaimed: Some(word) }) => {
            assert_eq!(word.end.ended, Ended::Code(9));
            assert_eq!(word.unacked, 2, "the line and the exit");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(rig.folder.path()).unwrap().count(), 0, "and removed when it was read");
}

#[tokio::test]
async fn when_init_is_told_to_end_it_passes_it_on_and_then_kills() {
    let rig = rig();
    let mut spec = rig.spec("trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done");
    spec.stop_timeout_ms = 100;
    let mut running = start(spec).await;
    running.until_line("ready").await;
    let ticket = running.ticket().clone();
    assert!(procs::signal(ticket.init_pid, ticket.init_start, rustix::process::Signal::TERM));
    let (outputs, exit) = running.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["ready", "heard"]);
    assert_eq!(exit.end.ended, Ended::Signal(9));
}
