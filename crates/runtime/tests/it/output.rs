//! What an application writes and what a node hears.

use runtime::{Ended, Limits, Output, Stream};

use crate::rig::{lines, rig, start, text};

#[tokio::test]
async fn lines_arrive_in_order_with_their_numbers() {
    let running = rig().run("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done").await;
    let (outputs, exit) = running.finish().await;
    let lines = lines(&outputs);
    assert_eq!(lines.len(), 2000);
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!((line.seq, line.stream, line.cut_from), (number, Stream::Stdout, None));
        assert_eq!(line.bytes, format!("line {number}").into_bytes());
    }
    assert!(lines.windows(2).all(|pair| pair[0].time <= pair[1].time));
    assert_eq!((exit.seq, exit.end.ended), (2001, Ended::Code(0)));
}

#[tokio::test]
async fn standard_error_is_heard_and_told_apart() {
    let (outputs, _) = rig().run("echo out; echo err >&2; echo out again").await.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["out", "out again"]);
    assert_eq!(text(&outputs, Stream::Stderr), ["err"]);
}

#[tokio::test]
async fn a_last_line_without_newline_and_empty_lines_are_lines() {
    let (outputs, _) = rig().run("printf 'a\\n\\nb'").await.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["a", "", "b"]);
}

#[tokio::test]
async fn any_bytes_are_passed_on_as_they_are() {
    let (outputs, _) = rig().run(r"printf '\000\001\377\376 \r\t\n'").await.finish().await;
    assert_eq!(lines(&outputs)[0].bytes, b"\x00\x01\xff\xfe \r\t");
}

#[tokio::test]
async fn a_line_that_is_too_long_is_cut_and_says_so() {
    let rig = rig();
    let spec =
        rig.spec("head -c 200000 /dev/zero | tr '\\0' x; echo; head -c 65536 /dev/zero | tr '\\0' y; echo; echo z");
    let (outputs, _) = start(spec).await.finish().await;
    let lines = lines(&outputs);
    assert_eq!(lines.len(), 3);
    assert_eq!((lines[0].bytes.len(), lines[0].cut_from), (65_536, Some(200_000)));
    assert!(lines[0].bytes.iter().all(|byte| *byte == b'x'));
    assert_eq!((lines[1].bytes.len(), lines[1].cut_from), (65_536, None), "just fits");
    assert_eq!((lines[2].bytes.as_slice(), lines[2].cut_from), (b"z".as_slice(), None));
}

#[tokio::test]
async fn a_line_is_told_when_it_is_written_and_not_at_the_end() {
    let mut running = rig().run("echo ready; exec sleep 1000").await;
    running.until_line("ready").await;
    running.control().kill();
    assert_eq!(running.finish().await.1.end.ended, Ended::Signal(9));
}

#[tokio::test]
async fn standard_output_can_be_opened_by_its_name() {
    let rig = rig();
    let mut spec = rig.spec("echo named > /dev/stdout; echo error > /dev/stderr");
    if crate::rig::is_root() {
        spec.uid = Some(61_234);
        open_to_all(&rig);
    }
    let (outputs, exit) = start(spec).await.finish().await;
    assert_eq!(text(&outputs, Stream::Stdout), ["named"], "{outputs:?} {exit:?}");
    assert_eq!(text(&outputs, Stream::Stderr), ["error"]);
}

#[tokio::test]
async fn small_limits_hold_too() {
    let rig = rig();
    let mut spec = rig.spec("echo 123456789");
    spec.limits = Limits { message_bytes_max: 4, output_bytes_max: 1024, ..Limits::default() };
    let (outputs, _) = start(spec).await.finish().await;
    assert!(matches!(&outputs[..], [Output::Line(line)] if line.bytes == b"1234" && line.cut_from == Some(9)));
}

fn open_to_all(rig: &crate::rig::Rig) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(rig.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}
