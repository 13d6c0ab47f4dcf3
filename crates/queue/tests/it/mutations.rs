//! Scripts that were damaged at random: whatever is sent, what comes back are whole answers, and others are served on.
//!
//! `FOREBAY_FUZZ_SEED` and `FOREBAY_FUZZ_RUNS` make it another run, or a longer one.

use queue::config::{Config, TubeConfig};
use stdx::rng::Rng;
use testkit::answers;

use crate::rig::{Forebay, config};

const RUNS: usize = 1_500;

/// What is damaged: sound scripts of all commands.
const SEEDS: &[&str] = &[
    "put 0 0 60 5\r\nhello\r\nreserve\r\ndelete 1\r\n",
    "use a\r\nput 5 10 1 2\r\n\r\n\r\nwatch a\r\nignore default\r\nreserve-with-timeout 0\r\nrelease 1 2 3\r\n",
    "put 4294967295 0 4294967295 0\r\n\r\npeek 1\r\npeek-ready\r\npeek-delayed\r\npeek-buried\r\nkick 10\r\n",
    "reserve-job 1\r\nbury 1 4\r\nkick-job 1\r\ntouch 1\r\npause-tube default 0\r\nstats-tube default\r\n",
    "stats\r\nstats-job 1\r\nlist-tubes\r\nlist-tube-used\r\nlist-tubes-watched\r\nquit\r\n",
    "put-with 0 0 60 1 key=a window=9 unique=b order=c attempts=2 retry-ms=5\r\nx\r\nreserve\r\nfail 1 no route\r\n",
    "trace 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nput 0 0 60 1\r\nx\r\njob-trace 1\r\n",
    "put 0 0 60 1\r\nx\r\nreserve-batch 10 0\r\ndelete-batch 5\r\n1 2:1\r\nleased 1 touch 1\r\nauth nobody\r\n",
    "put 0 0 60 70000\r\nshort\r\n",
];

/// What is put in between.
const BITS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    "\0",
    " ",
    "  ",
    "-1",
    "0",
    "1",
    "99999999999999999999",
    "4294967296",
    "put 0 0 0 2\r\n",
    "reserve\r\n",
    "delete-batch 3\r\n",
    "reserve-batch 1000\r\n",
    "leased 1 ",
    "put-with 0 0 0 1 ",
    "key=",
    "order=\u{fc}",
    "use ",
    "-",
    "\u{ff}",
    "fail 1 ",
    "GET / HTTP/1.1\r\n",
    "kick 1\r\n",
];

fn damaged(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = SEEDS[rng.usize(..SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=rng.usize(..5) {
        let at = rng.usize(..=bytes.len());
        let until = (at + rng.usize(..30)).min(bytes.len());
        match rng.usize(..7) {
            0 => drop(bytes.splice(at..at, BITS[rng.usize(..BITS.len())].bytes())),
            1 => drop(bytes.splice(at..until, BITS[rng.usize(..BITS.len())].bytes())),
            2 => drop(bytes.drain(at..until)),
            3 => bytes.extend_from_within(at..until),
            4 => drop(bytes.splice(at.., SEEDS[rng.usize(..SEEDS.len())].bytes())),
            5 => drop(bytes.splice(at..at, std::iter::repeat_n(b'x', rng.usize(..400)))),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.usize(..8),
            _ => {}
        }
    }
    bytes
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn whatever_is_sent_whole_answers_come_back() {
    let tube = TubeConfig { jobs_max: 200, attempts_max: 3, dead_letter: Some("dead".into()), ..TubeConfig::default() };
    let limits = Config { tube, jobs_max: 500, tubes_max: 50, keys_max: 20, ..config() };
    let server = Forebay::start_with(limits.clone());
    let seed = number("FOREBAY_FUZZ_SEED", 5);
    let mut rng = Rng::with_seed(seed as u64);
    for run in 0..number("FOREBAY_FUZZ_RUNS", RUNS) {
        let bytes = damaged(&mut rng);
        let mut client = server.connect();
        // One that was told to go may be gone before all is sent.
        client.try_send(&bytes);
        client.finish_sending();
        let heard = client.hear_to_the_end();
        let whole = answers::count(&heard);
        assert!(whole.is_ok(), "seed {seed}, run {run}: {whole:?} after {:?}", String::from_utf8_lossy(&bytes));
    }
    let mut client = server.connect();
    let ready = client.stat("stats", "current-jobs-ready");
    assert_eq!(client.stat("stats", "current-connections"), "1");
    let server = server.restart_with(limits);
    assert_eq!(server.connect().stat("stats", "current-jobs-ready"), ready, "and the log tells the same");
}
