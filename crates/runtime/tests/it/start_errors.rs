//! A start that cannot be says why, and leaves nothing behind.

use std::path::Path;

use runtime::{Failure, Spec, SpecError, Stage, StartError};

use crate::rig::{Rig, init_exe, is_root, rig};

async fn error_of(spec: Spec) -> StartError {
    match runtime::start(spec, &init_exe()).await {
        Err(error) => error,
        Ok(instance) => panic!("it runs: {:?}", instance.ticket),
    }
}

fn assert_nothing_left(rig: &Rig) {
    let left: Vec<_> = std::fs::read_dir(rig.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let rig = rig();
    let spec = Spec { folder: "/no/such/folder".into(), ..rig.spec("true") };
    let error = error_of(spec).await;
    assert_eq!(
        error.to_string(),
        "the application's folder cannot be entered: /no/such/folder: No such file or directory (os error 2)"
    );
    assert!(matches!(error, StartError::Init(Failure { stage: Stage::Folder, errno: Some(libc::ENOENT), .. })));
    assert_nothing_left(&rig);
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_is_refused_before_anything_is_done() {
    let rig = rig();
    let socket = rig.path(&"x".repeat(100));
    match error_of(Spec { socket: socket.clone(), ..rig.spec("true") }).await {
        StartError::Spec(SpecError::SocketPathTooLong { path, bytes }) => {
            assert_eq!((path, bytes), (socket.clone(), socket.as_os_str().len()));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_named() {
    let rig = rig();
    let error = error_of(Spec { socket: "/no/such/folder/a.sock".into(), ..rig.spec("true") }).await;
    assert_eq!(
        error.to_string(),
        "init cannot listen on its socket: /no/such/folder/a.sock: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn nothing_is_started_twice_on_one_socket() {
    let rig = rig();
    let _first = rig.run("sleep 1000").await;
    let error = error_of(rig.spec("touch second; sleep 1000")).await;
    assert!(
        matches!(error, StartError::Init(Failure { stage: Stage::Socket, errno: Some(libc::EADDRINUSE), .. })),
        "{error}"
    );
    assert!(!rig.path("second").exists());
    assert!(rig.path("web.17.sock").exists(), "the first one's socket is still there");
}

#[tokio::test]
async fn a_socket_that_a_dead_init_left_is_taken_over() {
    let rig = rig();
    drop(std::os::unix::net::UnixListener::bind(rig.path("web.17.sock")).unwrap());
    rig.run("true").await.finish().await;
}

#[tokio::test]
async fn another_user_can_only_be_had_as_root_and_root_never() {
    let rig = rig();
    assert!(matches!(error_of(Spec { uid: Some(0), ..rig.spec("true") }).await, StartError::Spec(SpecError::UidZero)));
    if is_root() {
        return;
    }
    let error = error_of(Spec { uid: Some(61_234), ..rig.spec("true") }).await;
    assert_eq!(
        error.to_string(),
        "the application's user cannot be taken: uid 61234: Operation not permitted (os error 1)"
    );
    assert_nothing_left(&rig);
}

#[tokio::test]
async fn what_cannot_be_passed_to_a_process_is_refused() {
    let rig = rig();
    let refused = |spec: Spec| spec.check().unwrap_err().to_string();
    assert_eq!(refused(rig.spec("  ")), "the command is empty");
    assert_eq!(refused(rig.spec("a\0b")), "the command contains a NUL byte");
    let env = vec![("A".into(), "1\x002".into())];
    assert_eq!(refused(Spec { env, ..rig.spec("true") }), "the variable A contains a NUL byte");
    for name in ["", "../key", "a/b", ".hidden"] {
        let secrets = vec![(name.into(), vec![])];
        assert!(refused(Spec { secrets, ..rig.spec("true") }).contains("cannot be the name of a secret"), "{name}");
    }
    let secrets = vec![("KEY".into(), vec![0; (1 << 20) + 1])];
    assert_eq!(
        refused(Spec { secrets, ..rig.spec("true") }),
        "the secrets take 1048577 bytes; at most 1048576 are allowed"
    );
}

#[tokio::test]
async fn an_executable_that_is_no_forebay_is_named() {
    let rig = rig();
    let missing = runtime::start(rig.spec("true"), Path::new("/no/such/forebay")).await.unwrap_err();
    assert_eq!(missing.to_string(), "cannot run /no/such/forebay init: No such file or directory (os error 2)");
    let mute = runtime::start(rig.spec("true"), Path::new("/bin/echo")).await.unwrap_err();
    assert!(matches!(&mute, StartError::Mute { said, .. } if said.contains("shop/production/web.17")), "{mute}");
}

#[test]
fn secrets_and_values_are_not_in_debug_output() {
    let rig = rig();
    let spec = Spec {
        secrets: vec![("KEY".into(), b"hunter2".to_vec())],
        env: vec![("TOKEN".into(), "sesame".into())],
        ..rig.spec("true")
    };
    let said = format!("{spec:?}");
    assert!(said.contains("KEY") && said.contains("TOKEN"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("sesame") && !said.contains("104, 117, 110"), "{said}");
}

#[test]
fn nothing_begins_when_the_node_has_died_before_the_socket_was_there() {
    let rig = rig();
    let spec = rig.spec("touch begun");
    let orders = rig.path("orders");
    std::fs::write(&orders, serde_json::to_vec(&spec).unwrap()).unwrap();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut init = std::process::Command::new(init_exe())
        .stdin(std::fs::File::open(&orders).unwrap())
        .stdout(write)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The last of init's processes closes this one by ending.
    let mut said = String::new();
    std::io::Read::read_to_string(&mut init.stderr.take().unwrap(), &mut said).unwrap();
    assert!(init.wait().unwrap().success());
    std::fs::remove_file(orders).unwrap();
    assert_nothing_left(&rig);
}
