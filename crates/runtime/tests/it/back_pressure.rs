//! Who waits for whom when output comes faster than it is stored. Invariant: written = delivered + reported dropped.

use std::time::{Duration, Instant};

use runtime::{Event, Limits, Output, Spec, StoreState};

use crate::rig::{Rig, Running, account, rig, start};

/// Room for about 600 lines of `flood`.
fn small(rig: &Rig, command: &str) -> Spec {
    let limits = Limits { output_bytes_max: 64 << 10, message_bytes_max: 1024, ..Limits::default() };
    Spec { limits, ..rig.spec(command) }
}

/// Writes `lines` lines of 80 bytes and then a file, so that one can see when it was through.
fn flood(lines: u32) -> String {
    format!("yes '{}' | head -n {lines}; echo the last one; touch through", "x".repeat(79))
}

#[tokio::test]
async fn a_node_that_acknowledges_gets_everything() {
    let rig = rig();
    let (outputs, _) = start(small(&rig, &flood(20_000))).await.finish().await;
    assert_eq!(account(&outputs), (20_001, 0));
}

#[tokio::test]
async fn a_store_that_does_not_answer_blocks_for_the_time_set_and_then_lines_are_counted() {
    let rig = rig();
    let running = start(Spec { stdout_block_ms: 400, ..small(&rig, &flood(20_000)) }).await;
    // Nothing is acknowledged: it gets what fits, waits once, and then gets rid of the rest.
    let begun = Instant::now();
    crate::rig::eventually("the application is through", || rig.path("through").exists()).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300), "it was not slowed: {took:?}");
    let (outputs, exit) = running.finish().await;
    let (delivered, dropped) = account(&outputs);
    assert_eq!(delivered + dropped, 20_001);
    assert!(dropped > 15_000, "kept more than its bound: {delivered}");
    assert_eq!(exit.seq, 20_002);
    assert!(
        matches!(outputs.last(), Some(Output::Line(line)) if line.bytes == b"the last one"),
        "the last lines are kept"
    );
}

#[tokio::test]
async fn a_store_that_has_failed_holds_nobody_up() {
    let rig = rig();
    let running = start(Spec { stdout_block_ms: 600_000, ..small(&rig, &flood(20_000)) }).await;
    // Said before or while it is held up: both let it go on.
    running.control().store(StoreState::Failed);
    crate::rig::eventually("the application is through", || rig.path("through").exists()).await;
    let (outputs, _) = running.finish().await;
    let (delivered, dropped) = account(&outputs);
    assert_eq!(delivered + dropped, 20_001);
    assert!(dropped > 0);
}

#[tokio::test]
async fn a_block_ends_as_soon_as_there_is_room() {
    let rig = rig();
    let mut running = start(Spec { stdout_block_ms: 600_000, ..small(&rig, &flood(3_000)) }).await;
    // Without acknowledgement it would stand still for ten minutes; with it nothing is lost.
    running.until(|output| output.last_seq() >= 100).await;
    running.control().ack(100);
    let (outputs, _) = running.finish().await;
    assert_eq!(account(&outputs), (3_001, 0));
}

#[tokio::test]
async fn dropped_lines_are_said_in_their_place_and_life_goes_on() {
    let rig = rig();
    let command = format!("{}; until [ -e go ]; do sleep 0.01; done; echo after", flood(5_000));
    let mut running = start(Spec { stdout_block_ms: 0, ..small(&rig, &command) }).await;
    crate::rig::eventually("the flood is through", || rig.path("through").exists()).await;
    let mut outputs = running_taken(&mut running).await;
    running.control().ack(outputs.last().unwrap().last_seq());
    // What follows in the stream: the gap, then the last lines of the flood.
    running.until_line("the last one").await;
    std::fs::write(rig.path("go"), "").unwrap();
    let (rest, _) = running.finish().await;
    outputs.extend(rest);
    let (delivered, dropped) = account(&outputs);
    assert_eq!(delivered + dropped, 5_002);
    let gaps = outputs.iter().filter(|output| matches!(output, Output::Dropped(_))).count();
    assert_eq!(gaps, 1);
    let bytes: u64 = outputs.iter().map(|output| if let Output::Dropped(gap) = output { gap.bytes } else { 0 }).sum();
    assert_eq!(bytes, dropped * 79);
}

/// What has been told without an acknowledgement: reads until the stream stands still at the bound.
async fn running_taken(running: &mut Running) -> Vec<Output> {
    loop {
        match tokio::time::timeout(Duration::from_millis(300), running.event()).await {
            Ok(Some(Event::Output(outputs))) => running.outputs.extend(outputs),
            Ok(other) => panic!("{other:?} at the bound"),
            Err(_) => return std::mem::take(&mut running.outputs),
        }
    }
}
