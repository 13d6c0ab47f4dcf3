//! Raw frames: every rule about them that a client can break (RFC 9113), and the code of the error that follows.
//!
//! The library ends the connection with PROTOCOL_ERROR for every frame that it cannot read, also where the RFC names
//! FRAME_SIZE_ERROR, COMPRESSION_ERROR or FLOW_CONTROL_ERROR, and where an error of the stream would do (5.4.2 allows that).

use std::net::SocketAddr;
use std::time::Duration;

use testkit::h2::{END_HEADERS, END_STREAM, Frame, PADDED, PREFACE, block, kind, take};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::endpoint::Endpoint;
use crate::rig::{Rig, proxy};

/// What became of a connection.
pub(crate) struct Outcome {
    /// What the router said until it was through with everything.
    pub(crate) frames: Vec<Frame>,
    /// Whether it closed the connection.
    pub(crate) is_closed: bool,
}

impl Outcome {
    /// `GOAWAY 1`, `RST 8`, `closed`, or `fine`.
    pub(crate) fn verdict(&self) -> String {
        let error = |kind| self.frames.iter().filter(|frame| frame.kind == kind).find_map(Frame::error);
        match (error(kind::GOAWAY).filter(|code| *code != 0), error(kind::RST_STREAM)) {
            (Some(code), _) => format!("GOAWAY {code}"),
            (None, Some(code)) => format!("RST {code}"),
            _ if self.is_closed => "closed".into(),
            _ => "fine".into(),
        }
    }
}

/// The last thing that a client sends: its answer says that all before it was read.
const MARK: &[u8; 8] = b"the mark";

/// A request without content.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "shop"), (":path", "/")];

/// The HEADERS of a whole request.
pub(crate) fn get(stream: u32) -> Frame {
    Frame::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block(&GET))
}

/// The HEADERS of a request whose content follows.
pub(crate) fn post(stream: u32, more: &[(&str, &str)]) -> Frame {
    let fields = [&[(":method", "POST")][..], &GET[1..], more].concat();
    Frame::new(kind::HEADERS, END_HEADERS, stream, &block(&fields))
}

/// Sends the preface, SETTINGS and these frames.
pub(crate) async fn sends(addr: SocketAddr, frames: &[Frame]) -> Outcome {
    let settings = Frame::new(kind::SETTINGS, 0, 0, &[]).bytes();
    let frames: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    sends_bytes(addr, &[PREFACE, &settings, &frames].concat()).await
}

/// Sends these bytes and reads until the router has answered them all, or closes.
async fn sends_bytes(addr: SocketAddr, bytes: &[u8]) -> Outcome {
    let (mut reader, mut writer) = TcpStream::connect(addr).await.unwrap().into_split();
    let bytes = [bytes, &Frame::new(kind::PING, 0, 0, MARK).bytes()].concat();
    let write = async {
        // One that has closed reads no further: what it said before that is what counts.
        drop(writer.write_all(&bytes).await);
        std::future::pending::<()>().await;
    };
    let read = async {
        let (mut frames, mut rest) = (Vec::new(), Vec::new());
        let mut marked = false;
        loop {
            let more = reader.read_buf(&mut rest);
            let closed = match tokio::time::timeout(AFTER_MARK, more).await {
                Ok(read) => read.map_or(true, |bytes| bytes == 0),
                Err(_) if marked => return (frames, false),
                Err(_) => false,
            };
            frames.extend(take(&mut rest));
            marked |= frames.iter().any(|frame| frame.kind == kind::PING && frame.payload == MARK);
            if closed {
                return (frames, true);
            }
        }
    };
    let both = async {
        tokio::select! {
            () = write => unreachable!("it waits"),
            outcome = read => outcome,
        }
    };
    let (frames, is_closed) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("an answer or an end");
    Outcome { frames, is_closed }
}

/// What the router does because of a frame, it has done soon after it has read all of them.
const AFTER_MARK: Duration = Duration::from_millis(100);

async fn rig() -> (Rig, Endpoint) {
    let endpoint = Endpoint::saying("ok").await;
    (proxy().endpoint(&endpoint).start(), endpoint)
}

/// Rule, frames, verdict.
type Row = (&'static str, Vec<Frame>, &'static str);

async fn check(rows: Vec<Row>) {
    let (rig, endpoint) = rig().await;
    let mut wrong = Vec::new();
    for (rule, frames, expected) in rows {
        let verdict = sends(rig.addr, &frames).await.verdict();
        if !expected.split(" or ").any(|one| one == verdict) {
            wrong.push(format!("{rule}: {verdict}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A request that breaks a rule of heads reaches nobody in another form.
    let plain = |head: &str| !head.contains("smuggled");
    assert!(endpoint.requests().iter().all(|request| plain(&request.head)));
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Frame {
    Frame::new(kind::DATA, flags, stream, payload)
}

fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Frame {
    Frame::new(kind::HEADERS, flags, stream, &block(fields))
}

fn setting(id: u16, value: u32) -> Frame {
    Frame::new(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn window_update(stream: u32, increment: u32) -> Frame {
    Frame::new(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn reset(stream: u32) -> Frame {
    Frame::new(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

const WHOLE: u8 = END_STREAM | END_HEADERS;

#[tokio::test]
async fn connections() {
    check(vec![
        ("a request", vec![get(1)], "fine"),
        ("4.1: an unknown type is ignored", vec![Frame::new(0x42, 0xff, 1, b"x"), get(1)], "fine"),
        ("4.2: longer than SETTINGS_MAX_FRAME_SIZE", vec![post(1, &[]), data(0, 1, &[0; 16_385])], "GOAWAY 6"),
        ("4.3: a header block that cannot be unpacked", vec![Frame::new(1, WHOLE, 1, &[0xff; 20])], "GOAWAY 1"),
        ("5.1: DATA on an idle stream", vec![data(0, 1, b"x")], "GOAWAY 1"),
        ("5.1: RST_STREAM on an idle stream", vec![reset(1)], "GOAWAY 1"),
        ("5.1: WINDOW_UPDATE on an idle stream", vec![window_update(1, 1)], "GOAWAY 1"),
        ("5.1: DATA after END_STREAM", vec![get(1), data(0, 1, b"x")], "GOAWAY 5 or GOAWAY 1"),
        ("5.1.1: an even stream", vec![get(2)], "GOAWAY 1"),
        ("5.1.1: a stream below an earlier one", vec![get(5), get(3)], "GOAWAY 1"),
        ("6.1: DATA on the connection", vec![data(0, 0, b"x")], "GOAWAY 1"),
        ("6.1: padding longer than DATA", vec![post(1, &[]), data(PADDED, 1, &[5, 0])], "GOAWAY 1"),
        ("6.2: HEADERS on the connection", vec![headers(WHOLE, 0, &GET)], "GOAWAY 1"),
        ("6.2: padding longer than HEADERS", vec![Frame::new(1, WHOLE | PADDED, 1, &[9, 0])], "GOAWAY 1"),
        ("6.3: PRIORITY on the connection", vec![Frame::new(kind::PRIORITY, 0, 0, &[0; 5])], "GOAWAY 1"),
        ("6.3: PRIORITY of another length", vec![Frame::new(kind::PRIORITY, 0, 1, &[0; 4])], "GOAWAY 1"),
        ("6.4: RST_STREAM on the connection", vec![reset(0)], "GOAWAY 1"),
        ("6.4: RST_STREAM of another length", vec![get(1), Frame::new(3, 0, 1, &[0; 3])], "GOAWAY 1"),
        ("6.6: PUSH_PROMISE from a client", vec![get(1), Frame::new(5, 4, 1, &[0, 0, 0, 2])], "GOAWAY 1"),
        ("6.7: PING on a stream", vec![Frame::new(kind::PING, 0, 1, &[0; 8])], "GOAWAY 1"),
        ("6.7: PING of another length", vec![Frame::new(kind::PING, 0, 0, &[0; 7])], "GOAWAY 1"),
        ("6.8: GOAWAY on a stream", vec![Frame::new(kind::GOAWAY, 0, 1, &[0; 8])], "GOAWAY 1"),
    ])
    .await;
}

#[tokio::test]
async fn settings_and_windows() {
    check(vec![
        ("6.5: SETTINGS on a stream", vec![Frame::new(4, 0, 1, &[])], "GOAWAY 1"),
        ("6.5: SETTINGS of another length", vec![Frame::new(4, 0, 0, &[0; 5])], "GOAWAY 1"),
        ("6.5: an acknowledgement with content", vec![Frame::new(4, 1, 0, &[0; 6])], "GOAWAY 1"),
        ("6.5.2: ENABLE_PUSH of 2", vec![setting(2, 2)], "GOAWAY 1"),
        ("6.5.2: INITIAL_WINDOW_SIZE of 2^31", vec![setting(4, 1 << 31)], "GOAWAY 1"),
        ("6.5.2: MAX_FRAME_SIZE of 16,383", vec![setting(5, 16_383)], "GOAWAY 1"),
        ("6.5.2: MAX_FRAME_SIZE of 2^24", vec![setting(5, 1 << 24)], "GOAWAY 1"),
        ("6.5.2: an unknown setting is ignored", vec![setting(0x77, 5), get(1)], "fine"),
        ("6.9: an increment of zero, connection", vec![window_update(0, 0)], "GOAWAY 1"),
        ("6.9: an increment of zero, stream", vec![post(1, &[]), window_update(1, 0)], "GOAWAY 1"),
        ("6.9: WINDOW_UPDATE of another length", vec![Frame::new(8, 0, 0, &[0; 3])], "GOAWAY 1"),
        ("6.9.1: beyond 2^31 - 1, connection", vec![window_update(0, 0x7fff_ffff)], "GOAWAY 3"),
        ("6.9.1: beyond 2^31 - 1, stream", vec![post(1, &[]), window_update(1, 0x7fff_ffff)], "RST 3"),
    ])
    .await;
}

#[tokio::test]
async fn header_blocks_stand_alone() {
    let begun = || Frame::new(kind::HEADERS, END_STREAM, 1, &block(&GET));
    let rest = |stream| Frame::new(kind::CONTINUATION, END_HEADERS, stream, &block(&[("x", "1")]));
    check(vec![
        ("6.10: a block in two frames", vec![begun(), rest(1)], "fine"),
        ("6.10: CONTINUATION of nothing", vec![rest(1)], "GOAWAY 1"),
        ("6.10: CONTINUATION after END_HEADERS", vec![get(1), rest(1)], "GOAWAY 1"),
        ("6.10: CONTINUATION of another stream", vec![begun(), rest(3)], "GOAWAY 1"),
        ("6.10: CONTINUATION of the connection", vec![begun(), rest(0)], "GOAWAY 1"),
        ("6.2: another frame in between", vec![begun(), Frame::new(kind::PING, 0, 0, &[0; 8])], "GOAWAY 1"),
        ("6.2: HEADERS in between", vec![begun(), get(3)], "GOAWAY 1"),
        ("5.5: an unknown frame in between", vec![begun(), Frame::new(0x42, 0, 1, b"x")], "GOAWAY 1"),
    ])
    .await;
}

#[tokio::test]
async fn malformed_requests() {
    let with = |more: &[(&'static str, &'static str)]| vec![headers(WHOLE, 1, &[&GET[..], more].concat())];
    let only = |fields: &[(&str, &str)]| vec![headers(WHOLE, 1, fields)];
    let (method, scheme, authority, path) = (GET[0], GET[1], GET[2], GET[3]);
    let late_path = vec![post(1, &[]), headers(WHOLE, 1, &[(":path", "/smuggled")])];
    check(vec![
        ("8.2.1: a name in capitals", with(&[("X-Name", "1")]), "GOAWAY 1"),
        ("8.2.1: a name with a space", with(&[("x name", "1")]), "GOAWAY 1"),
        ("8.2.1: a name with a colon", with(&[("x:y", "1")]), "GOAWAY 1"),
        ("8.2.1: an empty name", with(&[("", "1")]), "GOAWAY 1"),
        ("8.2.1: CR in a value", with(&[("x", "a\rb")]), "GOAWAY 1"),
        ("8.2.1: LF in a value", with(&[("x", "a\r\nsmuggled: c")]), "GOAWAY 1"),
        ("8.2.1: NUL in a value", with(&[("x", "a\0b")]), "GOAWAY 1"),
        ("8.2.2: Connection", with(&[("connection", "close")]), "RST 1"),
        ("8.2.2: Keep-Alive", with(&[("keep-alive", "1")]), "RST 1"),
        ("8.2.2: Proxy-Connection", with(&[("proxy-connection", "close")]), "RST 1"),
        ("8.2.2: Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), "RST 1"),
        ("8.2.2: Upgrade", with(&[("upgrade", "websocket")]), "RST 1"),
        ("8.2.2: TE: gzip", with(&[("te", "gzip")]), "RST 1"),
        ("8.2.2: TE: trailers", with(&[("te", "trailers")]), "fine"),
        ("8.2.1: space before a value", with(&[("x", " smuggled")]), "RST 1"),
        ("8.2.1: a tab behind a value", with(&[("x", "smuggled\t")]), "RST 1"),
        ("8.3: an unknown pseudo-header", with(&[(":protocol2", "x")]), "GOAWAY 1"),
        ("8.3: a pseudo-header of replies", with(&[(":status", "200")]), "RST 1"),
        ("8.3: a pseudo-header twice", with(&[(":path", "/")]), "RST 1"),
        ("8.3: a pseudo-header behind a field", only(&[method, scheme, authority, ("x", "1"), path]), "RST 1"),
        ("8.3.1: no :method", only(&[scheme, authority, path]), "RST 1"),
        ("8.3.1: no :scheme", only(&[method, authority, path]), "RST 1"),
        ("8.3.1: no :path", only(&[method, scheme, authority]), "RST 1"),
        ("8.3.1: an empty :path", only(&[method, scheme, authority, (":path", "")]), "RST 1"),
        ("8.3: a pseudo-header in trailers is dropped", late_path, "fine"),
        ("8.1: trailers that do not end the stream", vec![post(1, &[]), headers(4, 1, &[("x", "1")])], "RST 1"),
    ])
    .await;
}

#[tokio::test]
async fn content_is_as_long_as_it_says() {
    let of = |length| post(1, &[("content-length", length)]);
    check(vec![
        ("8.1.1: as long as it says", vec![of("3"), data(END_STREAM, 1, b"abc")], "fine"),
        ("8.1.1: shorter", vec![of("3"), data(END_STREAM, 1, b"ab")], "RST 1"),
        ("8.1.1: longer", vec![of("3"), data(END_STREAM, 1, b"abcd")], "RST 1"),
        ("8.1.1: none at all", vec![headers(WHOLE, 1, &[&GET[..], &[("content-length", "3")]].concat())], "RST 1"),
        ("8.1.1: no number", vec![of("x"), data(END_STREAM, 1, b"abc")], "RST 1"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_http2() {
    let (rig, endpoint) = rig().await;
    let bytes = [PREFACE, &get(1).bytes()].concat();
    let verdict = sends_bytes(rig.addr, &bytes).await.verdict();
    assert_eq!(verdict, "GOAWAY 1", "3.4: the first frame is SETTINGS");
    let mut bytes = [PREFACE, &get(1).bytes()].concat();
    bytes[20] = b'X';
    let other = sends_bytes(rig.addr, &bytes).await;
    assert!(other.is_closed, "3.4: no preface: {}", other.verdict());
    assert_eq!(endpoint.requests().len(), 0);
}
