//! Who may speak to an init, and what it does with those who cannot.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use runtime::{AdoptError, LinkError};

use crate::rig::{Running, rig};

/// A frame as `docs/formats/init.md` has it.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_le_bytes(), [kind].as_slice(), body].concat()
}

/// All that an init says before it hangs up, as text.
fn said(mut stream: UnixStream) -> String {
    let mut all = vec![];
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn the_socket_is_private() {
    let running = rig().run("sleep 1000").await;
    let mode = running.ticket().socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    let mut running = rig().run("until [ -e go ]; do sleep 0.01; done; echo unharmed").await;
    let socket = running.ticket().socket.clone();
    let garbage: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: init\r\n\r\n", &[0, 0, 0, 0], &frame(1, b"{ this is no hello"), &frame(33, &[1, 9])];
    for bytes in garbage {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(bytes).unwrap();
        let answer = tokio::task::spawn_blocking(|| said(stream)).await.unwrap();
        assert!(answer.contains("\"garbage\""), "{answer:?}");
    }
    std::fs::write(socket.parent().unwrap().join("go"), "").unwrap();
    running.until_line("unharmed").await;
    running.finish().await;
}

#[tokio::test]
async fn a_node_of_another_age_is_told_which_versions_are_spoken() {
    let running = rig().run("sleep 1000").await;
    let mut stream = UnixStream::connect(&running.ticket().socket).unwrap();
    stream.write_all(&frame(1, br#"{"version": 9, "version_min": 8}"#)).unwrap();
    let answer = tokio::task::spawn_blocking(|| said(stream)).await.unwrap();
    assert!(answer.contains("this init speaks versions 1 to 1"), "{answer:?}");
}

#[tokio::test]
async fn a_newer_node_that_still_speaks_our_version_is_welcome_with_all_it_adds() {
    let rig = rig();
    let ticket = rig.run("until [ -e go ]; do sleep 0.01; done; echo heard").await.hang_up().await;
    let socket = ticket.socket.clone();
    let heard = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(&frame(1, br#"{"version": 9, "version_min": 1, "colour": "blue"}"#)).unwrap();
        stream.write_all(&frame(200, b"a kind of the future")).unwrap();
        std::fs::write(rig.path("go"), "").unwrap();
        let mut heard = vec![];
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&heard).contains("exit") && !String::from_utf8_lossy(&heard).contains("code") {
            let n = stream.read(&mut chunk).unwrap();
            assert!(n > 0, "hung up on after {:?}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&chunk[..n]);
        }
        stream.write_all(&frame(32, &[&2u64.to_le_bytes(), b"more".as_slice()].concat())).unwrap();
        said(stream);
        String::from_utf8_lossy(&heard).into_owned()
    });
    assert!(heard.await.unwrap().contains("heard"));
    crate::rig::gone(&ticket).await;
}

#[tokio::test]
async fn of_two_nodes_the_second_is_refused_until_the_first_hangs_up() {
    let rig = rig();
    let first = rig.run("until [ -e go ]; do sleep 0.01; done; echo one").await;
    let ticket = first.ticket().clone();
    match runtime::adopt(&ticket).await {
        Err(AdoptError::Link(LinkError::Busy { text })) => assert_eq!(text, "another node is connected"),
        other => panic!("{other:?}"),
    }
    first.hang_up().await;
    let second = runtime::adopt(&ticket).await.unwrap();
    std::fs::write(rig.path("go"), "").unwrap();
    let (outputs, _) = Running::of(second).finish().await;
    assert_eq!(crate::rig::text(&outputs, runtime::Stream::Stdout), ["one"]);
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_never_said_is_not_believed() {
    let mut running = rig().run("echo one; until [ -e go ]; do sleep 0.01; done; echo two").await;
    running.control().ack(u64::MAX);
    running.until_line("one").await;
    running.control().ack(u64::MAX);
    std::fs::write(running.ticket().socket.parent().unwrap().join("go"), "").unwrap();
    running.until_line("two").await;
    running.finish().await;
}

#[tokio::test]
async fn a_socket_of_somebody_else_is_not_taken_for_the_init() {
    let rig = rig();
    let running = rig.run("sleep 1000").await;
    let mut ticket = running.ticket().clone();
    ticket.socket = rig.path("impostor.sock");
    let _impostor = std::os::unix::net::UnixListener::bind(&ticket.socket).unwrap();
    match runtime::adopt(&ticket).await {
        Err(AdoptError::Link(LinkError::Stranger { expected, found })) => {
            assert_eq!(expected, ticket.init_pid);
            assert_eq!(found.map(i32::unsigned_abs), Some(std::process::id()));
        }
        other => panic!("{other:?}"),
    }
}
