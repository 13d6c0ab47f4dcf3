//! Floods of HTTP/2 frames, each bounded: what the client gets, how much of it came through, and that nobody else notices.

use router::config::Http2Config;
use testkit::h2::{END_HEADERS, END_STREAM, Frame, block, kind};

use crate::endpoint::Endpoint;
use crate::http2::{plain_client, read};
use crate::http2_frames::{GET, Outcome, get, post, sends};
use crate::rig::{Rig, proxy};

const CALM: &str = "GOAWAY 11";

struct Flooded {
    rig: Rig,
    endpoint: Endpoint,
}

impl Flooded {
    async fn new(change: impl FnOnce(&mut Http2Config)) -> Flooded {
        let endpoint = Endpoint::saying("ok").await;
        let rig = proxy().endpoint(&endpoint).config(|config| {
            (config.http2.idle_frames_max, config.http2.resets_max) = (100, 10);
            change(&mut config.http2);
        });
        Flooded { rig: rig.start(), endpoint }
    }

    async fn sends(&self, frames: &[Frame]) -> Outcome {
        sends(self.rig.addr, frames).await
    }

    fn requests(&self) -> usize {
        self.endpoint.requests().len()
    }
}

#[tokio::test]
async fn frames_that_carry_nothing() {
    let floods = [
        ("SETTINGS", Frame::new(kind::SETTINGS, 0, 0, &[])),
        ("PING", Frame::new(kind::PING, 0, 0, &[0; 8])),
        ("PING that answers nothing", Frame::new(kind::PING, 1, 0, &[0; 8])),
        ("PRIORITY", Frame::new(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("WINDOW_UPDATE", Frame::new(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty DATA", Frame::new(kind::DATA, 0, 1, &[])),
        ("DATA that is padding only", Frame::new(kind::DATA, 8, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("unknown frames", Frame::new(0x42, 0, 0, &[])),
    ];
    let flooded = Flooded::new(|_| {}).await;
    let mut well_behaved = plain_client(flooded.rig.addr).await;
    for (name, frame) in floods {
        let mut frames = vec![post(1, &[])];
        frames.extend(std::iter::repeat_n(frame, 5000));
        let outcome = flooded.sends(&frames).await;
        // The word is lost where the kernel resets the connection for what was not read.
        let verdict = outcome.verdict();
        assert!(verdict == CALM || verdict == "closed", "{name}: {verdict}");
        assert!(outcome.is_closed, "{name}");
        let answers = outcome.frames.len();
        assert!(answers < 120, "{name}: {answers} answers");
        well_behaved = well_behaved.ready().await.unwrap();
        let request = http::Request::get("http://shop/").body(()).unwrap();
        let reply = well_behaved.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(read(reply).await.unwrap().0, "ok", "beside {name}");
    }
}

#[tokio::test]
async fn rapid_reset() {
    let flooded = Flooded::new(|_| {}).await;
    let frames: Vec<Frame> = (0..5000)
        .flat_map(|n| [get(2 * n + 1), Frame::new(kind::RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes())])
        .collect();
    let outcome = flooded.sends(&frames).await;
    assert!(outcome.is_closed, "{}", outcome.verdict());
    assert!(flooded.requests() <= 11, "{} requests came through", flooded.requests());
}

#[tokio::test]
async fn requests_that_make_the_router_reset_them() {
    let flooded = Flooded::new(|_| {}).await;
    let fields = [&GET[..], &[("connection", "close")]].concat();
    let broken = |stream| Frame::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block(&fields));
    let frames: Vec<Frame> = (0..5000).map(|n| broken(2 * n + 1)).collect();
    let outcome = flooded.sends(&frames).await;
    assert!(outcome.is_closed, "\"MadeYouReset\": {}", outcome.verdict());
    assert_eq!(flooded.requests(), 0);
}

#[tokio::test]
async fn a_header_list_without_end() {
    let flooded = Flooded::new(|_| {}).await;
    for piece in [block(&[("x", "y".repeat(1000).as_str())]), Vec::new()] {
        let mut frames = vec![Frame::new(kind::HEADERS, END_STREAM, 1, &block(&GET))];
        frames.extend(std::iter::repeat_n(Frame::new(kind::CONTINUATION, 0, 1, &piece), 50_000));
        let outcome = flooded.sends(&frames).await;
        assert!(outcome.is_closed, "{}", outcome.verdict());
        assert_eq!(flooded.requests(), 0);
    }
}

#[tokio::test]
async fn a_header_list_that_is_too_large() {
    let flooded = Flooded::new(|_| {}).await;
    let value = "y".repeat(10_000);
    let value = value.as_str();
    let fields: Vec<(&str, &str)> =
        GET.into_iter().chain([("a", value), ("b", value), ("c", value), ("d", value)]).collect();
    let block = block(&fields);
    let (first, rest) = block.split_at(16_000);
    let mut frames = vec![Frame::new(kind::HEADERS, END_STREAM, 1, first)];
    let pieces: Vec<&[u8]> = rest.chunks(16_000).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let flags = if at + 1 == pieces.len() { END_HEADERS } else { 0 };
        frames.push(Frame::new(kind::CONTINUATION, flags, 1, piece));
    }
    let outcome = flooded.sends(&frames).await;
    assert!(!outcome.is_closed);
    assert!(outcome.frames.iter().any(|frame| frame.kind == kind::HEADERS), "it is told by 431");
    assert_eq!(flooded.requests(), 0);
}

#[tokio::test]
async fn more_requests_than_may_be_under_way() {
    let flooded = Flooded::new(|config| config.streams_max = 3).await;
    let frames: Vec<Frame> = (0..10).map(|n| post(2 * n + 1, &[])).collect();
    let outcome = flooded.sends(&frames).await;
    assert_eq!(outcome.verdict(), "RST 7");
    assert_eq!(outcome.frames.iter().filter(|frame| frame.error() == Some(7)).count(), 7);
}

#[tokio::test]
async fn a_busy_connection_is_no_flood() {
    let flooded = Flooded::new(|config| config.streams_max = 4000).await;
    let mut frames = Vec::new();
    for n in 0..1000 {
        frames.push(get(2 * n + 1));
        frames.push(Frame::new(kind::PING, 0, 0, &[0; 8]));
        frames.push(Frame::new(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0x10, 0]));
    }
    let outcome = flooded.sends(&frames).await;
    assert_eq!(outcome.verdict(), "fine");
}
