//! `stats`, `stats-tube` and `stats-job`: the fields of version 1.13 in its order, every one of them true.

use std::time::Duration;

use stdx::clock::Wall;
use stdx::io::Io;

use super::Broker;
use crate::durability::Durability;
use crate::engine::{ClientId, JobState, Now};
use crate::names::JobId;
use crate::proto::command::Command;
use crate::proto::reply::Reply;
use crate::proto::yaml::Yaml;

/// The commands that `stats` counts, in its order. `kick-job`, `reserve-job` and our own are not shown.
const COUNTED: [&str; 22] = [
    "cmd-put",
    "cmd-peek",
    "cmd-peek-ready",
    "cmd-peek-delayed",
    "cmd-peek-buried",
    "cmd-reserve",
    "cmd-reserve-with-timeout",
    "cmd-delete",
    "cmd-release",
    "cmd-use",
    "cmd-watch",
    "cmd-ignore",
    "cmd-bury",
    "cmd-kick",
    "cmd-touch",
    "cmd-stats",
    "cmd-stats-job",
    "cmd-stats-tube",
    "cmd-list-tubes",
    "cmd-list-tube-used",
    "cmd-list-tubes-watched",
    "cmd-pause-tube",
];

/// How often each command of [`COUNTED`] came, per namespace, since the plane started.
pub(super) type Ops = [u64; COUNTED.len()];

/// What `stats` says of the process and its machine.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// 16 hex digits, new at each start.
    id: String,
    hostname: String,
    os: String,
    started: Option<Wall>,
}

impl Identity {
    /// That of this process.
    pub(crate) fn of_this_process() -> Identity {
        let kernel = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
            text.trim().replace('"', "'")
        };
        Identity {
            id: format!("{:016x}", stdx::rng::from_kernel().u64(..)),
            hostname: kernel("hostname"),
            os: kernel("version"),
            started: None,
        }
    }
}

impl<D: Io> Broker<D> {
    /// Counts a command that was understood.
    pub(crate) fn count(&mut self, client: ClientId, command: &Command<'_>) {
        let Some(op) = counted(command) else { return };
        let space = self.space_of(client).0 as usize;
        if self.ops.len() <= space {
            self.ops.resize(space + 1, [0; COUNTED.len()]);
        }
        self.ops[space][op] += 1;
    }

    /// From here on `put`s of the client make it a producer.
    pub(crate) fn mark_producer(&mut self, client: ClientId) {
        self.engine.mark_producer(client);
    }

    /// From this point on the uptime counts.
    pub(crate) fn started(&mut self, now: Now) {
        self.identity.started = Some(now.wall);
    }

    pub(super) fn stats(&mut self, client: ClientId, now: Now) {
        let ix = self.space_of(client);
        let space = self.engine.space(ix);
        let figures = space.figures;
        let mut yaml = Yaml::new();
        yaml.line("current-jobs-urgent", figures.urgent)
            .line("current-jobs-ready", figures.ready)
            .line("current-jobs-reserved", figures.reserved)
            .line("current-jobs-delayed", figures.delayed)
            .line("current-jobs-buried", figures.buried);
        let ops = self.ops.get(ix.0 as usize).copied().unwrap_or_default();
        for (key, count) in COUNTED.iter().zip(ops) {
            yaml.line(key, count);
        }
        // Without a log that outlives the process there is, as with beanstalkd, none to tell of.
        let is_kept = self.config.tube.durability != Durability::Memory;
        let cpu = cpu_time();
        let uptime = self.identity.started.map_or(0, |started| now.wall.since(started).as_secs());
        yaml.line("job-timeouts", space.totals.timeouts)
            .line("total-jobs", space.totals.jobs)
            .line("max-job-size", self.config.job_bytes_max)
            .line("current-tubes", space.tubes.len())
            .line("current-connections", space.connections)
            .line("current-producers", space.producers)
            .line("current-workers", space.workers)
            .line("current-waiting", space.waiting)
            .line("total-connections", space.connections_total)
            .line("pid", std::process::id())
            .text("version", crate::PROTOCOL_VERSION)
            .line("rusage-utime", seconds(cpu.0))
            .line("rusage-stime", seconds(cpu.1))
            .line("uptime", uptime)
            .line("binlog-oldest-index", if is_kept { self.journal.oldest_segment() } else { 0 })
            .line("binlog-current-index", if is_kept { self.journal.current_segment() } else { 0 })
            .line("binlog-records-migrated", self.journal.records_moved)
            .line("binlog-records-written", self.journal.records_written)
            .line("binlog-max-size", self.config.segment_bytes_max)
            .line("draining", self.intake.draining)
            .line("id", &self.identity.id)
            .text("hostname", &self.identity.hostname)
            .text("os", &self.identity.os)
            .text("platform", std::env::consts::ARCH);
        self.tell_state(client, Reply::Ok(yaml.as_bytes()));
    }

    pub(super) fn stats_tube(&mut self, client: ClientId, name: &str, now: Now) {
        let Some(ix) = self.engine.find_tube(self.space_of(client), name) else {
            return self.tell_state(client, Reply::NotFound);
        };
        let tube = self.engine.tube(ix);
        let (figures, totals) = (tube.figures, tube.totals);
        let pause = tube.pause.as_ref().map_or(0, |pause| pause.asked_ms / 1000);
        let pause_left = tube.pause.as_ref().map_or(0, |pause| until(now.wall, pause.until_ms));
        let mut yaml = Yaml::new();
        yaml.text("name", name)
            .line("current-jobs-urgent", figures.urgent)
            .line("current-jobs-ready", figures.ready)
            .line("current-jobs-reserved", figures.reserved)
            .line("current-jobs-delayed", figures.delayed)
            .line("current-jobs-buried", figures.buried)
            .line("total-jobs", totals.jobs)
            .line("current-using", tube.using)
            .line("current-watching", tube.watching)
            .line("current-waiting", tube.waiting.len())
            .line("cmd-delete", totals.deletes)
            .line("cmd-pause-tube", totals.pauses)
            .line("pause", pause)
            .line("pause-time-left", pause_left);
        self.tell_state(client, Reply::Ok(yaml.as_bytes()));
    }

    pub(super) fn stats_job(&mut self, client: ClientId, id: JobId, now: Now) {
        let Some(job) = self.engine.job_in(self.space_of(client), id) else {
            return self.tell_state(client, Reply::NotFound);
        };
        let time_left = match job.state {
            JobState::Reserved { deadline, .. } => deadline.since(now.mono).as_secs(),
            JobState::Delayed { until_ms } => until(now.wall, until_ms),
            JobState::Ready | JobState::Buried { .. } => 0,
        };
        let counts = self.engine.counts(id);
        let lsn = job.lsn;
        let mut yaml = Yaml::new();
        yaml.line("id", id)
            .text("tube", &self.engine.tube(job.tube).name)
            .line("state", job.state.word())
            .line("pri", job.pri)
            .line("age", now.wall.millis().saturating_sub(job.created_ms) / 1000)
            .line("delay", job.delay_s)
            .line("ttr", job.ttr_s)
            .line("time-left", time_left)
            .line("file", job.at.segment)
            .line("reserves", counts.reserves)
            .line("timeouts", counts.timeouts)
            .line("releases", counts.releases)
            .line("buries", counts.buries)
            .line("kicks", counts.kicks);
        self.answer(client, Reply::Ok(yaml.as_bytes()), lsn);
    }
}

fn counted(command: &Command<'_>) -> Option<usize> {
    Some(match command {
        Command::Put(_) | Command::PutWith(..) => 0,
        Command::Peek { .. } => 1,
        Command::PeekReady => 2,
        Command::PeekDelayed => 3,
        Command::PeekBuried => 4,
        Command::Reserve => 5,
        Command::ReserveWithTimeout { .. } => 6,
        Command::Delete { .. } => 7,
        Command::Release { .. } => 8,
        Command::Use { .. } => 9,
        Command::Watch { .. } => 10,
        Command::Ignore { .. } => 11,
        Command::Bury { .. } => 12,
        Command::Kick { .. } => 13,
        Command::Touch { .. } => 14,
        Command::Stats => 15,
        Command::StatsJob { .. } => 16,
        Command::StatsTube { .. } => 17,
        Command::ListTubes => 18,
        Command::ListTubeUsed => 19,
        Command::ListTubesWatched => 20,
        Command::PauseTube { .. } => 21,
        Command::ReserveJob { .. }
        | Command::KickJob { .. }
        | Command::Quit
        | Command::Fail { .. }
        | Command::ReserveBatch { .. }
        | Command::DeleteBatch { .. }
        | Command::Leased { .. }
        | Command::Auth { .. }
        | Command::Trace { .. }
        | Command::JobTrace { .. } => return None,
    })
}

fn until(now: Wall, ms: u64) -> u64 {
    // A due time is rounded up to a millisecond; what is shown is not.
    Wall::from_millis(ms.saturating_sub(1)).since(now).as_secs()
}

/// The process's user and system time. In clock ticks of the kernel's interface, 100 a second on all that we run on.
fn cpu_time() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets, which may hold anything; utime and stime are the 14th and 15th.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(|field| field.parse().unwrap_or(0u64));
    let mut next = || Duration::from_millis(ticks.next().unwrap_or(0) * 10);
    (next(), next())
}

fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}
