//! Long lives on a small disk: the log keeps to its bounds, and damage costs the jobs that it hits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stdx::clock::Clock;
use testkit::{FakeClock, FakeDisk};

use crate::broker::{Broker, Opened};
use crate::config::Config;
use crate::engine::{ClientId, Now};
use crate::event::{NoSink, NoTokens};
use crate::names::JobId;
use crate::proto::command::{Command, Put};

const SEGMENT: u64 = 64 << 10;

pub(super) struct Life {
    pub(super) disk: FakeDisk,
    clock: FakeClock,
    pub(super) opened: Opened<FakeDisk>,
    client: ClientId,
}

impl Life {
    fn begin(disk: FakeDisk) -> Life {
        Life::with_segments(disk, SEGMENT)
    }

    fn with_segments(disk: FakeDisk, segment_bytes_max: u64) -> Life {
        Life::with(disk, segment_bytes_max, Config::default())
    }

    pub(super) fn with(disk: FakeDisk, segment_bytes_max: u64, others: Config) -> Life {
        let config = Config {
            segment_bytes_max,
            job_bytes_max: 4000,
            checkpoint_log_bytes: segment_bytes_max,
            body_cache_bytes_max: 0,
            disk_reserve_bytes: 0,
            ..others
        };
        let opened = Broker::open(disk.clone(), config, Path::new("/queue"), Arc::new(NoTokens), Arc::new(NoSink));
        let mut opened = opened.unwrap_or_else(|e| panic!("cannot open: {e}"));
        let client = opened.broker.connect();
        Life { disk, clock: FakeClock::new(), opened, client }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.clock.mono(), wall: self.clock.wall() }
    }

    pub(super) fn put(&mut self, delay_s: u32, body: &[u8]) -> String {
        let put = Put { pri: 0, delay_s, ttr_s: 60, bytes: body.len() as u32, has_trailer: false };
        let now = self.now();
        self.opened.broker.put(self.client, put, body, now);
        self.hear()
    }

    pub(super) fn say(&mut self, command: &Command<'_>) -> String {
        let now = self.now();
        self.opened.broker.execute(self.client, command, now);
        self.hear()
    }

    /// Jobs that stay, until the first segment is closed.
    fn fill_a_segment(&mut self) {
        for _ in 0..SEGMENT / 900 {
            self.put(0, &[b'f'; 1000]);
        }
    }

    /// Commits until there is an answer.
    pub(super) fn hear(&mut self) -> String {
        let Opened { broker, committer, .. } = &mut self.opened;
        while let Some(batch) = broker.next_batch_now() {
            broker.committed(committer.commit(batch).unwrap());
            committer.clean_up().unwrap();
        }
        if let Some(due) = broker.due_checkpoint() {
            broker.checkpoint_written(due.write());
            while broker.send_far() {}
        }
        let heard = String::from_utf8_lossy(broker.output(self.client)).into_owned();
        broker.sent(self.client, heard.len());
        heard
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        let now = self.now();
        while self.opened.broker.tick(now) {}
    }
}

#[test]
fn one_old_job_and_endless_churn_take_no_more_than_twice_what_lives() {
    const DAYS: u32 = 30;
    let mut life = Life::begin(FakeDisk::new(1));
    let old = life.put(DAYS * 86_400, b"the old one");
    assert_eq!(old, "INSERTED 1\r\n");
    // Some that are released again and again, with a delay each time.
    for _ in 0..20 {
        life.put(0, &[b'r'; 500]);
    }
    for hour in 0..u64::from(DAYS) * 24 - 1 {
        for _ in 0..8 {
            let id = life.put(0, &[b'c'; 700]);
            let id = JobId(id.trim().strip_prefix("INSERTED ").unwrap().parse().unwrap());
            assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
        }
        while let Some(id) = reserved(&life.say(&Command::ReserveWithTimeout { timeout_s: 0 })) {
            assert_eq!(life.say(&Command::Release { id, pri: 0, delay_s: 1800 }), "RELEASED\r\n");
        }
        life.pass(Duration::from_secs(3600));
        let (live, slack) = (21 * 600, 4 * SEGMENT);
        assert!(life.disk.used() <= 2 * live + slack, "{} bytes after {hour} hours", life.disk.used());
    }
    assert!(life.opened.broker.moved() > 0);
    life.disk.power_cut();
    let mut life = Life::begin(life.disk);
    assert!(life.say(&Command::Peek { id: JobId(1) }).ends_with("the old one\r\n"));
}

pub(super) fn inserted(answer: &str) -> JobId {
    JobId(answer.trim().strip_prefix("INSERTED ").unwrap().parse().unwrap())
}

/// A fault of 2026-11-23: compaction looked for its place in a segment that was gone, and rested for a minute, again and
/// again, while the log grew.
#[test]
fn a_segment_that_empties_itself_before_its_end_was_read_does_not_stop_compaction() {
    // A step reads a quarter of it.
    const SEGMENT: u64 = 1 << 20;
    let mut life = Life::with_segments(FakeDisk::new(1), SEGMENT);
    for round in 0..8 {
        let mut stay: Vec<JobId> = (0..20).map(|_| inserted(&life.put(0, &[b's'; 4000]))).collect();
        // Churn until compaction has begun to move those.
        let before = life.opened.broker.moved();
        let mut puts = 0;
        while life.opened.broker.moved() == before {
            let id = inserted(&life.put(0, &[b'c'; 4000]));
            assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
            puts += 1;
            assert!(puts < 3_000, "compaction never began in round {round}");
        }
        for id in stay.drain(..) {
            assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
        }
        assert_eq!(life.opened.broker.why_not_compacted(), None, "round {round}");
    }
    assert!(life.disk.used() <= 4 * SEGMENT, "{} bytes", life.disk.used());
}

#[test]
fn churn_of_which_one_in_a_hundred_stays_takes_no_more_than_twice_what_lives_and_two_segments() {
    const SEGMENT: u64 = 512 << 10;
    let mut life = Life::with_segments(FakeDisk::new(1), SEGMENT);
    let (mut live, mut most) = (0u64, 0);
    for n in 0..40_000u64 {
        let len = 1_000 + (n % 7) * 300;
        let id = inserted(&life.put(0, &vec![b'c'; len as usize]));
        if n % 100 == 0 {
            live += len + 100;
        } else {
            assert_eq!(life.say(&Command::Delete { id }), "DELETED\r\n");
        }
        most = most.max(life.disk.used().saturating_sub(2 * live));
        assert_eq!(life.opened.broker.why_not_compacted(), None);
    }
    assert!(most <= 2 * SEGMENT, "{most} bytes beyond twice what lives");
    assert!(life.opened.broker.moved() > 0);
    life.disk.power_cut();
    let mut life = Life::with_segments(life.disk, SEGMENT);
    assert!(life.say(&Command::StatsTube { tube: "default" }).contains("current-jobs-ready: 400\n"));
}

pub(super) fn reserved(answer: &str) -> Option<JobId> {
    answer.strip_prefix("RESERVED ")?.split(' ').next()?.parse().ok().map(JobId)
}

/// The place of a text in the log's files.
fn rot(disk: &FakeDisk, text: &[u8]) {
    let segments = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "wal"));
    for path in segments {
        let bytes = disk.contents(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            assert!(disk.flip_bit(&path, at, 3));
            return;
        }
    }
    panic!("the text is not in the log");
}

#[test]
fn a_damaged_body_costs_its_job_only_and_stays_known() {
    let mut life = Life::begin(FakeDisk::new(1));
    life.put(0, b"first is spoiled");
    life.put(0, b"second is whole");
    life.fill_a_segment();
    rot(&life.disk, b"first is spoiled");
    assert_eq!(life.say(&Command::ReserveWithTimeout { timeout_s: 0 }), "INTERNAL_ERROR\r\n");
    assert!(life.say(&Command::ReserveWithTimeout { timeout_s: 0 }).ends_with("second is whole\r\n"));
    let stats = life.say(&Command::StatsJob { id: JobId(1) });
    assert!(stats.contains("state: buried"), "{stats}");
    // It is so after a start, and a kick does not make it whole.
    life.disk.power_cut();
    let mut life = Life::begin(life.disk);
    assert!(life.say(&Command::StatsJob { id: JobId(1) }).contains("state: buried"));
    assert_eq!(life.say(&Command::KickJob { id: JobId(1) }), "KICKED\r\n");
    assert_eq!(life.say(&Command::ReserveJob { id: JobId(1) }), "INTERNAL_ERROR\r\n");
    assert!(life.say(&Command::StatsJob { id: JobId(1) }).contains("state: buried"));
    assert_eq!(life.say(&Command::Delete { id: JobId(1) }), "DELETED\r\n");
}

#[test]
fn compaction_goes_on_behind_a_damaged_record_and_keeps_the_file() {
    let mut life = Life::begin(FakeDisk::new(1));
    life.put(0, b"this one is spoiled");
    life.put(0, b"this one is whole");
    life.fill_a_segment();
    rot(&life.disk, b"this one is spoiled");
    for _ in 0..600 {
        let id = life.put(0, &[b'c'; 700]);
        let id = JobId(id.trim().strip_prefix("INSERTED ").unwrap().parse().unwrap());
        life.say(&Command::Delete { id });
    }
    assert!(life.disk.used() <= 8 * SEGMENT, "{} bytes", life.disk.used());
    assert!(life.say(&Command::StatsJob { id: JobId(1) }).contains("state: buried"));
    assert!(life.say(&Command::Peek { id: JobId(2) }).ends_with("this one is whole\r\n"));
    let kept = life.disk.paths().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "damaged"));
    assert_eq!(kept.count(), 1);
}
