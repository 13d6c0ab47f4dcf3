//! Periodic jobs, with a clock that is turned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue::config::{Config, TubeConfig, WhenFull};
use queue::cron::{CatchUp, CronConfig};
use queue::{Deps, Handle, Namespace, NoSink, NoTokens, Work};
use stdx::clock::Clock;
use stdx::io::Disk;
use testkit::FakeClock;

use crate::rig::{Http, PATIENCE, block_on, config};

const HOUR: Duration = Duration::from_secs(3_600);

struct Rig {
    folder: tempfile::TempDir,
    clock: FakeClock,
    handle: Handle,
}

impl Rig {
    fn start() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let clock = FakeClock::new();
        let handle = start(folder.path(), &clock);
        Rig { folder, clock, handle }
    }

    fn restart(self) -> Rig {
        block_on(self.handle.stop());
        let handle = start(self.folder.path(), &self.clock);
        Rig { handle, ..self }
    }

    fn employ(&self, crons: &[(&str, CronConfig)]) {
        let mut names: Vec<&str> = crons.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let crons = crons.iter().map(|(name, cron)| (name.to_string(), cron.clone())).collect();
        self.handle.employ(Namespace::SHARED, Work { crons, pushes: BTreeMap::new() });
        // Taken over when the log knows just these.
        let begun = Instant::now();
        let known = || block_on(self.handle.crons(&Namespace::SHARED)).unwrap();
        while known().iter().map(|row| row.name.as_str()).ne(names.iter().copied()) {
            assert!(begun.elapsed() < PATIENCE);
        }
    }

    /// Jobs that were ever put into the tube, once there are so many.
    fn total(&self, tube: &str, jobs: u64) {
        let begun = Instant::now();
        let total = || {
            let rows = block_on(self.handle.rows()).unwrap();
            rows.iter().find(|row| row.tube == tube).map_or(0, |row| row.total)
        };
        while total() != jobs {
            assert!(begun.elapsed() < PATIENCE, "{} jobs instead of {jobs}", total());
            std::thread::yield_now();
        }
    }
}

fn start(folder: &std::path::Path, clock: &FakeClock) -> Handle {
    start_with(folder, clock, TubeConfig::default())
}

fn start_with(folder: &std::path::Path, clock: &FakeClock, tube: TubeConfig) -> Handle {
    let deps = Deps {
        clock: Arc::new(clock.clone()),
        tokens: Arc::new(NoTokens),
        sink: Arc::new(NoSink),
        sockets: Default::default(),
    };
    queue::start_on(Disk, Config { tube, ..config() }, folder.join("queue"), deps).unwrap()
}

fn cron(schedule: &str, catch_up: CatchUp) -> CronConfig {
    CronConfig {
        schedule: schedule.into(),
        time_zone: "UTC".into(),
        tube: "reports".into(),
        body: "make one".into(),
        pri: 7,
        ttr_s: 90,
        catch_up,
        jitter_ms: 0,
    }
}

#[test]
fn a_line_fires_once_per_tick_over_restarts() {
    let rig = Rig::start();
    rig.employ(&[("hourly", cron("@hourly", CatchUp::One))]);
    rig.total("reports", 0);
    rig.clock.advance(HOUR);
    rig.total("reports", 1);
    let http = Http::admin(&rig.handle);
    let job = &http.reserve("reports", 0, 1)[0];
    assert_eq!(
        (job["body"].as_str(), job["pri"].as_u64(), job["ttr_s"].as_u64()),
        (Some("make one"), Some(7), Some(90))
    );
    let rig = rig.restart();
    rig.employ(&[("hourly", cron("@hourly", CatchUp::One))]);
    rig.clock.advance(HOUR);
    rig.total("reports", 2);
    // The clock goes back over a tick that has fired.
    rig.clock.set_wall(rig.clock.wall() - Duration::from_secs(1_800));
    rig.clock.advance(Duration::from_secs(1_800));
    std::thread::sleep(Duration::from_millis(1_200));
    rig.total("reports", 2);
}

#[test]
fn what_was_missed_while_nothing_ran_is_made_up_for_as_the_line_says() {
    let rig = Rig::start();
    let lines = || {
        [CatchUp::None, CatchUp::One, CatchUp::All].map(|catch_up| {
            let tube = format!("{catch_up:?}").to_lowercase();
            (tube.clone(), CronConfig { tube, ..cron("30 * * * *", catch_up) })
        })
    };
    let employ = |rig: &Rig| {
        let lines = lines();
        rig.employ(&lines.each_ref().map(|(name, line)| (name.as_str(), line.clone())));
    };
    employ(&rig);
    block_on(rig.handle.stop());
    rig.clock.advance(HOUR * 5);
    let handle = start(rig.folder.path(), &rig.clock);
    let rig = Rig { handle, ..rig };
    employ(&rig);
    rig.total("all", 5);
    rig.total("one", 1);
    rig.total("none", 0);
    rig.clock.advance(HOUR / 2);
    for (tube, jobs) in [("all", 6), ("one", 2), ("none", 1)] {
        rig.total(tube, jobs);
    }
}

#[test]
fn a_job_that_is_refused_is_put_when_there_is_room() {
    let rig = Rig::start();
    block_on(rig.handle.drain_mode(true)).unwrap();
    rig.employ(&[("hourly", cron("@hourly", CatchUp::One))]);
    rig.clock.advance(HOUR);
    std::thread::sleep(Duration::from_millis(1_200));
    rig.total("reports", 0);
    block_on(rig.handle.drain_mode(false)).unwrap();
    rig.total("reports", 1);
}

#[test]
fn a_line_that_went_and_came_again_makes_up_for_nothing() {
    let rig = Rig::start();
    rig.employ(&[("hourly", cron("@hourly", CatchUp::All)), ("other", cron("@yearly", CatchUp::All))]);
    rig.employ(&[("other", cron("@yearly", CatchUp::All))]);
    rig.clock.advance(HOUR * 3);
    rig.employ(&[("hourly", cron("@hourly", CatchUp::All)), ("other", cron("@yearly", CatchUp::All))]);
    rig.clock.advance(HOUR);
    rig.total("reports", 1);
}

#[test]
fn a_job_that_waited_for_room_still_says_its_tick() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let tube = TubeConfig { jobs_max: 1, when_full: WhenFull::Wait, ..TubeConfig::default() };
    let handle = start_with(folder.path(), &clock, tube);
    let rig = Rig { folder, clock, handle };
    let http = Http::admin(&rig.handle);
    let first = http.put("reports", "in the way");
    rig.employ(&[("hourly", cron("@hourly", CatchUp::One))]);
    let last_ms = || block_on(rig.handle.crons(&Namespace::SHARED)).unwrap()[0].last_ms;
    let before = last_ms();
    rig.clock.advance(HOUR);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(last_ms(), before, "it waits");
    http.delete(&format!("/v1/queue/jobs/{first}")).is(200);
    rig.total("reports", 2);
    assert!(last_ms() > before, "the tick is on disk with its job");
}
