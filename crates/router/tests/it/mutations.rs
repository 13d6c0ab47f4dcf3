//! The gate under requests that were damaged at random: whatever it lets through is one request to an endpoint too.
//!
//! `FOREBAY_FUZZ_SEED` and `FOREBAY_FUZZ_RUNS` make it another run, or a longer one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stdx::rng::Rng;
use testkit::strict;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::endpoint::{Act, Endpoint, Received};
use crate::rig::{Rig, proxy};

const RUNS: usize = 5_000;
const LANES: usize = 32;

/// What is damaged: sound requests, and such as begin to be something else.
const SEEDS: &[&str] = &[
    "GET /a?b=c HTTP/1.1\r\nhost: shop\r\nuser-agent: x\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-end: 1\r\n\r\n",
    "GET http://shop/a HTTP/1.1\r\nhost: shop\r\nconnection: close, x-a\r\nx-a: 1\r\n\r\n",
    "GET /a HTTP/1.0\r\nhost: shop\r\nconnection: keep-alive\r\n\r\n",
    "HEAD /a HTTP/1.1\r\nhost: shop:80\r\nexpect: 100-continue\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: shop\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    "PUT /a HTTP/1.1\r\nhost: shop\r\ncontent-length: 40\r\n\r\nGET /b HTTP/1.1\r\nhost: shop\r\nx-inner: 1\r\n\r\n",
];

/// What is put in between.
const BITS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "0",
    "1",
    "-",
    "+",
    "ff",
    "\u{ff}",
    "content-length: 3\r\n",
    "Content-Length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "host: other\r\n",
    "connection: content-length\r\n",
    "connection: host, upgrade\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    " HTTP/1.1\r\n",
    "GET /smuggled HTTP/1.1\r\nhost: shop\r\n\r\n",
    "forebay-deadline: 1\r\n",
    "x-forwarded-for: 1.2.3.4\r\n",
];

fn damaged(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = SEEDS[rng.usize(..SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=rng.usize(..4) {
        let at = rng.usize(..=bytes.len());
        let until = (at + rng.usize(..20)).min(bytes.len());
        match rng.usize(..6) {
            0 => drop(bytes.splice(at..at, BITS[rng.usize(..BITS.len())].bytes())),
            1 => drop(bytes.splice(at..until, BITS[rng.usize(..BITS.len())].bytes())),
            2 => drop(bytes.drain(at..until)),
            3 => bytes.extend_from_within(at..until),
            4 => drop(bytes.splice(at.., SEEDS[rng.usize(..SEEDS.len())].bytes())),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.usize(..8),
            _ => {}
        }
    }
    bytes
}

/// Requests by the number that their answers carry.
type Numbered = Arc<Mutex<Vec<Received>>>;

/// Answers with a number of its own; a router that is deceived gets more answers than it knows of.
async fn numbering(requests: &Numbered) -> Endpoint {
    let requests = Arc::clone(requests);
    Endpoint::new(move |request| {
        let mut requests = requests.lock().unwrap();
        let number = requests.len();
        requests.push(request.clone());
        Act::Reply(format!("HTTP/1.1 200 OK\r\nx-number: {number}\r\ncontent-length: 2\r\n\r\nok").into_bytes())
    })
    .await
}

/// Sends these bytes and a sound request behind them; the numbers of the answers that came.
async fn answers(rig: &Rig, bytes: &[u8]) -> Vec<usize> {
    let (mut read, mut write) = TcpStream::connect(rig.addr).await.unwrap().into_split();
    let mut all = bytes.to_vec();
    all.extend_from_slice(b"GET /end HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    // A router that refuses may close before all is written, and a request may ask for its own end.
    drop(write.write_all(&all).await);
    let mut said = Vec::new();
    let reading = async { while let Ok(1..) = read.read_buf(&mut said).await {} };
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap_or_else(|_| {
        panic!("the connection stays open: {:?}", String::from_utf8_lossy(bytes));
    });
    let said = String::from_utf8_lossy(&said);
    said.split("x-number: ").skip(1).map(|rest| rest.split("\r\n").next().unwrap().parse().unwrap()).collect()
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test]
async fn what_the_gate_lets_through_is_one_sound_request_whatever_was_sent() {
    let seed = number("FOREBAY_FUZZ_SEED", 3);
    let runs = number("FOREBAY_FUZZ_RUNS", RUNS);
    println!("FOREBAY_FUZZ_SEED={seed} FOREBAY_FUZZ_RUNS={runs}");
    let numbered = Numbered::default();
    let a = numbering(&numbered).await;
    // Nobody is believed who says that a request has no time left.
    let rig = proxy()
        .untrusting()
        .endpoint(&a)
        .policy(|policy| (policy.retries_max, policy.deadline_ms) = (0, 600_000))
        // What waits for more than was sent is not waited for; and nothing is cut off that has come whole.
        .config(|config| (config.header_timeout_ms, config.body_timeout_ms, config.idle_timeout_ms) = (50, 50, 50))
        .start();
    let rig = Arc::new(rig);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let rig = Arc::clone(&rig);
        lanes.spawn(async move {
            let mut rng = Rng::with_seed((seed * LANES + lane) as u64);
            let mut numbers = Vec::new();
            for _ in (lane..runs).step_by(LANES) {
                numbers.extend(answers(&rig, &damaged(&mut rng)).await);
            }
            numbers
        });
    }
    let numbers = lanes.join_all().await.concat();
    let told: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!(told.len(), numbers.len(), "an answer was given twice");
    let requests = numbered.lock().unwrap().clone();
    for request in &requests {
        assert_eq!(strict::doubt(&request.head), None, "{request:?}");
    }
    let untold: Vec<&Received> =
        requests.iter().enumerate().filter(|(number, _)| !told.contains(number)).map(|(_, request)| request).collect();
    assert!(untold.is_empty(), "{} of {} requests have no client: {untold:#?}", untold.len(), requests.len());
    assert!(requests.len() > runs / 8, "{} of {runs} came through", requests.len());
    assert_eq!(rig.get("/").await.status, 200);
    assert!(!rig.handle.status().is_failed());
}
