//! The engine beside a model that is slow and obvious: jobs in one list, looked through from the start each time.

use std::time::Duration;

use proptest::prelude::*;
use stdx::clock::{Mono, Wall};
use wal::{Lsn, Position};

use super::*;
use crate::config::Config;

impl Engine {
    /// A bug for the simulator to find.
    pub(crate) fn forget_ids(&mut self) {
        self.next_id = self.jobs.last_id().map_or(1, |id| id.0 + 1);
    }
}

const TUBES: [&str; 3] = ["default", "a", "b"];
const TTR_S: u32 = 10;

/// What a test does.
#[derive(Clone, Debug)]
enum Step {
    Put { tube: usize, pri: u32, delay_ms: u64 },
    Ask { client: usize, wait: bool },
    Release { client: usize, pri: u32, delay_ms: u64 },
    Bury { client: usize },
    Delete { nth: usize },
    Kick { tube: usize },
    Watch { client: usize, tube: usize },
    Ignore { client: usize, tube: usize },
    Pause { tube: usize, ms: u64 },
    Pass { ms: u64 },
    Leave { client: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (tube, client, pri) = (0..TUBES.len(), 0..3usize, 0..4u32);
    let delay_ms = prop_oneof![3 => Just(0u64), 1 => 1..5000u64];
    prop_oneof![
        6 => (tube.clone(), pri.clone(), delay_ms.clone()).prop_map(|(tube, pri, delay_ms)| Step::Put { tube, pri, delay_ms }),
        6 => (client.clone(), any::<bool>()).prop_map(|(client, wait)| Step::Ask { client, wait }),
        2 => (client.clone(), pri, delay_ms).prop_map(|(client, pri, delay_ms)| Step::Release { client, pri, delay_ms }),
        1 => client.clone().prop_map(|client| Step::Bury { client }),
        2 => (0..40usize).prop_map(|nth| Step::Delete { nth }),
        1 => tube.clone().prop_map(|tube| Step::Kick { tube }),
        2 => (client.clone(), tube.clone()).prop_map(|(client, tube)| Step::Watch { client, tube }),
        1 => (client.clone(), tube.clone()).prop_map(|(client, tube)| Step::Ignore { client, tube }),
        1 => (tube, 1..4000u64).prop_map(|(tube, ms)| Step::Pause { tube, ms }),
        3 => (1..6000u64).prop_map(|ms| Step::Pass { ms }),
        1 => client.prop_map(|client| Step::Leave { client }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Ready,
    Delayed(u64),
    Held(usize, u64),
    Buried(u64),
}

#[derive(Clone, Copy, Debug)]
struct ModelJob {
    id: u64,
    tube: usize,
    pri: u32,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct ModelClient {
    watched: Vec<usize>,
    /// Since when it waits, as a turn.
    waits: Option<u64>,
}

/// Time is in milliseconds since the start.
struct Model {
    now: u64,
    jobs: Vec<ModelJob>,
    clients: Vec<ModelClient>,
    paused: [Option<u64>; 3],
    turn: u64,
    /// Jobs handed to clients that waited, in order.
    handed: Vec<(usize, u64)>,
}

impl Model {
    fn best(&self, tubes: &[usize]) -> Option<usize> {
        let free =
            |job: &ModelJob| job.state == State::Ready && tubes.contains(&job.tube) && self.paused[job.tube].is_none();
        let all = self.jobs.iter().enumerate().filter(|(_, job)| free(job));
        all.min_by_key(|(_, job)| (job.pri, job.id)).map(|(at, _)| at)
    }

    fn hold(&mut self, at: usize, client: usize) {
        self.jobs[at].state = State::Held(client, self.now + u64::from(TTR_S) * 1000);
        self.clients[client].waits = None;
    }

    /// One tube's ready jobs go to those who wait for it, the longest waiting first.
    fn offer(&mut self, tube: usize) {
        loop {
            let Some(at) = self.best(&[tube]) else { return };
            let waiting = self.clients.iter().enumerate().filter(|(_, client)| client.watched.contains(&tube));
            let first = waiting.filter_map(|(ix, client)| Some((client.waits?, ix))).min();
            let Some((_, client)) = first else { return };
            self.hold(at, client);
            self.handed.push((client, self.jobs[at].id));
        }
    }
}

struct Pair {
    engine: Engine,
    clients: Vec<ClientId>,
    model: Model,
}

impl Pair {
    fn new() -> Pair {
        let mut engine = Engine::new(Limits::from(&Config::default()));
        engine.settle();
        let clients: Vec<ClientId> = (0..3).map(|_| engine.enter(SpaceIx::SHARED, Presence::Connection)).collect();
        let one = ModelClient { watched: vec![0], waits: None };
        let model =
            Model { now: 0, jobs: Vec::new(), clients: vec![one; 3], paused: [None; 3], turn: 0, handed: Vec::new() };
        Pair { engine, clients, model }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.model.now * 1_000_000), wall: Wall::from_millis(1_000_000 + self.model.now) }
    }

    fn wall_ms(&self, after: u64) -> u64 {
        1_000_000 + self.model.now + after
    }

    fn take(&mut self, step: &Step) {
        self.engine.now = self.now();
        match *step {
            Step::Put { tube, pri, delay_ms } => self.put(tube, pri, delay_ms),
            Step::Ask { client, wait } if self.model.clients[client].waits.is_none() => self.ask(client, wait),
            Step::Release { client, pri, delay_ms } if self.model.clients[client].waits.is_none() => {
                self.release(client, pri, delay_ms);
            }
            Step::Bury { client } if self.model.clients[client].waits.is_none() => {
                if let Some(at) = self.held_by(client) {
                    self.model.turn += 1;
                    let turn = self.model.turn;
                    self.engine.bury(JobId(self.model.jobs[at].id), turn);
                    self.model.jobs[at].state = State::Buried(turn);
                }
            }
            Step::Delete { nth } if !self.model.jobs.is_empty() => {
                let at = nth % self.model.jobs.len();
                // Only its holder may delete a held job, and a client that waits says nothing.
                if let State::Held(by, _) = self.model.jobs[at].state
                    && self.model.clients[by].waits.is_some()
                {
                    return;
                }
                let job = self.model.jobs.remove(at);
                assert_eq!(self.engine.remove(JobId(job.id)).unwrap().0.id.0, job.id);
            }
            Step::Kick { tube } => {
                let buried = |job: &ModelJob| match job.state {
                    State::Buried(turn) if job.tube == tube => Some(turn),
                    _ => None,
                };
                let first = (0..self.model.jobs.len()).filter_map(|at| Some((buried(&self.model.jobs[at])?, at))).min();
                if let Some((_, at)) = first {
                    let ix = self.engine.find_tube(SpaceIx::SHARED, TUBES[tube]).unwrap();
                    let &(_, id) = self.engine.tube(ix).buried.first().unwrap();
                    assert_eq!(id.0, self.model.jobs[at].id, "the first buried");
                    self.engine.make_ready(id);
                    self.model.jobs[at].state = State::Ready;
                    self.model.offer(tube);
                }
            }
            Step::Watch { client, tube } if self.model.clients[client].waits.is_none() => {
                let watched = &mut self.model.clients[client].watched;
                if !watched.contains(&tube) {
                    watched.push(tube);
                }
                let len = watched.len();
                assert_eq!(self.engine.watch(self.clients[client], TUBES[tube]), Ok(len));
            }
            Step::Ignore { client, tube } if self.model.clients[client].waits.is_none() => {
                let watched = &mut self.model.clients[client].watched;
                let wanted = if *watched == [tube] {
                    None
                } else {
                    watched.retain(|&other| other != tube);
                    Some(watched.len())
                };
                assert_eq!(self.engine.ignore(self.clients[client], TUBES[tube]), wanted);
            }
            Step::Pause { tube, ms } => {
                if let Some(ix) = self.engine.find_tube(SpaceIx::SHARED, TUBES[tube]) {
                    let until_ms = self.wall_ms(ms);
                    self.engine.pause(ix, Pause::new(ms, until_ms));
                    self.model.paused[tube] = Some(self.model.now + ms);
                }
            }
            Step::Pass { ms } => self.pass(ms),
            Step::Leave { client } => self.leave(client),
            _ => {}
        }
        self.compare();
    }

    fn put(&mut self, tube: usize, pri: u32, delay_ms: u64) {
        let ix = self.engine.tube_or_new(SpaceIx::SHARED, TUBES[tube]);
        let id = self.engine.next_id();
        let until_ms = self.wall_ms(delay_ms);
        self.engine.insert(
            Job {
                id,
                created_ms: 0,
                lsn: Lsn(1),
                at: Position { segment: 1, offset: 0, len: 0 },
                body_len: 0,
                pri,
                ttr_s: TTR_S,
                delay_s: 0,
                tube: ix,
                state: if delay_ms == 0 { JobState::Ready } else { JobState::Delayed { until_ms } },
            },
            None,
        );
        let state = if delay_ms == 0 { State::Ready } else { State::Delayed(self.model.now + delay_ms) };
        self.model.jobs.push(ModelJob { id: id.0, tube, pri, state });
        self.model.offer(tube);
    }

    fn ask(&mut self, client: usize, wait: bool) {
        let timeout = if wait { None } else { Some(Duration::ZERO) };
        let answer = self.engine.ask(self.clients[client], timeout, self.now());
        if let Some(at) = self.model.best(&self.model.clients[client].watched) {
            assert_eq!(answer, Asked::Got(JobId(self.model.jobs[at].id)));
            self.model.hold(at, client);
            return;
        }
        let soonest = self.model.jobs.iter().filter_map(|job| match job.state {
            State::Held(by, until) if by == client => Some(until),
            _ => None,
        });
        let is_soon = soonest.min().is_some_and(|until| self.model.now + 1000 >= until);
        match (is_soon, wait) {
            (true, _) => assert_eq!(answer, Asked::DeadlineSoon),
            (false, false) => assert_eq!(answer, Asked::TimedOut),
            (false, true) => {
                assert_eq!(answer, Asked::Waits);
                self.model.turn += 1;
                self.model.clients[client].waits = Some(self.model.turn);
            }
        }
    }

    fn held_by(&self, client: usize) -> Option<usize> {
        self.model.jobs.iter().position(|job| matches!(job.state, State::Held(by, _) if by == client))
    }

    fn release(&mut self, client: usize, pri: u32, delay_ms: u64) {
        let Some(at) = self.held_by(client) else { return };
        let (id, tube) = (JobId(self.model.jobs[at].id), self.model.jobs[at].tube);
        self.engine.set_pri(id, pri);
        self.model.jobs[at].pri = pri;
        if delay_ms == 0 {
            self.engine.make_ready(id);
            self.model.jobs[at].state = State::Ready;
            self.model.offer(tube);
        } else {
            let until_ms = self.wall_ms(delay_ms);
            self.engine.delay(id, until_ms);
            self.model.jobs[at].state = State::Delayed(self.model.now + delay_ms);
        }
    }

    /// Both go from millisecond to millisecond, so that the order of what falls due is the order of time.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.model.now += 1;
            while self.engine.tick(self.now(), 100) {}
            let now = self.model.now;
            let mut expired: Vec<(u64, u64, usize)> = Vec::new();
            for (at, job) in self.model.jobs.iter().enumerate() {
                if let State::Held(_, until) = job.state
                    && until <= now
                {
                    expired.push((until, job.id, at));
                }
            }
            expired.sort_unstable();
            for (_, _, at) in expired {
                self.model.jobs[at].state = State::Ready;
                self.model.offer(self.model.jobs[at].tube);
            }
            self.end_waits();
            self.wake_tubes();
        }
    }

    /// DEADLINE_SOON ends a wait one second before a lease of the waiting client ends.
    fn end_waits(&mut self) {
        for client in 0..3 {
            let over = self.model.jobs.iter().any(
                |job| matches!(job.state, State::Held(by, until) if by == client && self.model.now + 1000 >= until),
            );
            if over {
                self.model.clients[client].waits = None;
            }
        }
    }

    fn wake_tubes(&mut self) {
        for tube in 0..3 {
            if self.model.paused[tube].is_some_and(|until| until <= self.model.now) {
                self.model.paused[tube] = None;
                self.model.offer(tube);
            }
            for at in 0..self.model.jobs.len() {
                if self.model.jobs[at].tube == tube
                    && let State::Delayed(until) = self.model.jobs[at].state
                    && until <= self.model.now
                {
                    self.model.jobs[at].state = State::Ready;
                }
            }
            self.model.offer(tube);
        }
    }

    fn leave(&mut self, client: usize) {
        self.engine.leave(self.clients[client]);
        self.model.clients[client] = ModelClient { watched: vec![0], waits: None };
        let mut held: Vec<(u64, usize)> = Vec::new();
        for (at, job) in self.model.jobs.iter().enumerate() {
            if let State::Held(by, until) = job.state
                && by == client
            {
                held.push((until, at));
            }
        }
        held.sort_unstable_by_key(|&(until, at)| (until, self.model.jobs[at].id));
        for (_, at) in held {
            self.model.jobs[at].state = State::Ready;
            // Nobody who has left gets a job.
            let watched = std::mem::take(&mut self.model.clients[client].watched);
            self.model.offer(self.model.jobs[at].tube);
            self.model.clients[client].watched = watched;
        }
        self.clients[client] = self.engine.enter(SpaceIx::SHARED, Presence::Connection);
    }

    fn compare(&mut self) {
        assert_eq!(self.engine.jobs_len(), self.model.jobs.len() as u64);
        for job in &self.model.jobs {
            let known = self.engine.job(JobId(job.id)).unwrap();
            let holder = |by: ClientId| self.clients.iter().position(|&client| client == by).unwrap();
            let state = match known.state {
                JobState::Ready => State::Ready,
                JobState::Delayed { until_ms } => State::Delayed(until_ms - 1_000_000),
                JobState::Reserved { by, deadline } => State::Held(holder(by), deadline.0 / 1_000_000),
                JobState::Buried { turn } => State::Buried(turn),
            };
            assert_eq!((known.pri, state), (job.pri, job.state), "job {}", job.id);
        }
        for (tube, name) in TUBES.iter().enumerate() {
            let jobs: Vec<&ModelJob> = self.model.jobs.iter().filter(|job| job.tube == tube).collect();
            let Some(ix) = self.engine.find_tube(SpaceIx::SHARED, name) else {
                assert!(jobs.is_empty(), "tube {name} is gone");
                continue;
            };
            let ready = jobs.iter().filter(|job| job.state == State::Ready).count() as u64;
            assert_eq!(self.engine.tube(ix).figures.jobs(), jobs.len() as u64);
            assert_eq!(self.engine.tube(ix).figures.ready, ready);
            let oldest = jobs.iter().filter(|job| job.state == State::Ready).map(|job| JobId(job.id)).min();
            assert_eq!(self.engine.tube(ix).oldest_ready(), oldest);
        }
        let mut handed = Vec::new();
        while let Some(event) = self.engine.next_event() {
            if let Event::Reserved { client, job } = event {
                handed.push((self.clients.iter().position(|&other| other == client).unwrap(), job.0));
            }
        }
        assert_eq!(handed, std::mem::take(&mut self.model.handed), "who was handed what, in order");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_engine_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.take(step);
        }
    }
}

#[test]
fn a_jump_of_the_wall_clock_neither_frees_nor_freezes_a_lease() {
    let mut pair = Pair::new();
    pair.take(&Step::Put { tube: 0, pri: 0, delay_ms: 0 });
    pair.take(&Step::Ask { client: 0, wait: false });
    let at =
        |mono_s: u64, wall_s: u64| Now { mono: Mono(mono_s * 1_000_000_000), wall: Wall::from_millis(wall_s * 1000) };
    pair.engine.tick(at(1, 1_000_000_000), 100);
    assert!(matches!(pair.engine.job(JobId(1)).unwrap().state, JobState::Reserved { .. }), "a jump of 30 years ahead");
    pair.engine.tick(at(11, 1), 100);
    assert_eq!(pair.engine.job(JobId(1)).unwrap().state, JobState::Ready, "a jump back");
}

#[test]
fn no_operation_looks_at_all_tubes() {
    let mut pair = Pair::new();
    for tube in 0..20_000 {
        let ix = pair.engine.tube_or_new(SpaceIx::SHARED, &format!("tube-{tube}"));
        pair.engine.pause(ix, Pause::new(1, u64::MAX));
    }
    // With a loop over the tubes in any of them this would take minutes.
    for _ in 0..20_000 {
        pair.put(0, 0, 0);
        pair.ask(0, false);
        let id = pair.model.jobs.pop().unwrap().id;
        pair.engine.tick(pair.now(), 100);
        pair.engine.remove(JobId(id)).unwrap();
    }
    assert_eq!(pair.engine.jobs_len(), 0);
}

/// What the process has in memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// What each of many jobs takes, in bytes: as the system says it, and as the engine counts it.
fn bytes_of_each(state: impl Fn(u64) -> JobState) -> (f64, f64) {
    const JOBS: u64 = 400_000;
    let mut engine = Engine::new(Limits::from(&Config::default()));
    let tubes: Vec<TubeIx> = TUBES.iter().map(|name| engine.tube_or_new(SpaceIx::SHARED, name)).collect();
    let before = resident();
    for id in 1..=JOBS {
        let at = Position { segment: 1, offset: id as u32, len: 360 };
        let (pri, tube) = (id as u32 % 5, tubes[id as usize % 3]);
        let job = Job {
            id: JobId(id),
            created_ms: 1_800_000_000_000,
            lsn: Lsn(id),
            at,
            body_len: 300,
            pri,
            ttr_s: TTR_S,
            delay_s: 0,
            tube,
            state: state(id),
        };
        engine.insert(job, None);
    }
    let each = (resident() - before) as f64 / JOBS as f64;
    (each, engine.index_bytes() as f64 / JOBS as f64)
}

#[test]
fn a_ready_job_takes_no_more_than_56_bytes() {
    let (each, counted) = bytes_of_each(|_| JobState::Ready);
    assert!(each <= 56.0, "{each} bytes");
    assert!(counted >= each, "{counted} bytes are counted for {each}");
    assert!(counted <= 64.0, "{counted} bytes are counted");
}

/// A million of them and the process itself stay well below 100 MB.
#[test]
fn a_delayed_job_takes_no_more_than_72_bytes_in_whatever_order_they_are_due() {
    let (each, _) = bytes_of_each(|id| {
        let within = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (30 * 86_400_000);
        JobState::Delayed { until_ms: 1_800_000_000_000 + within }
    });
    assert!(each <= 72.0, "{each} bytes");
}

#[test]
fn when_the_memory_for_the_index_is_spent_no_job_is_taken() {
    let config = Config { index_bytes_max: 1 << 20, ..Config::default() };
    let mut pair = Pair::new();
    pair.engine.limits = Limits::from(&config);
    let default = pair.engine.find_tube(SpaceIx::SHARED, "default").unwrap();
    let mut jobs = 0;
    while pair.engine.has_room(default, 1, Now::default()) == Ok(()) {
        pair.put(0, 0, 0);
        jobs += 1;
    }
    assert_eq!(pair.engine.has_room(default, 1, Now::default()), Err(Refused::Memory));
    assert!((16_000..19_000).contains(&jobs), "{jobs} jobs in 1 MiB");
    while pair.engine.has_room(default, 1, Now::default()).is_err() {
        let id = pair.model.jobs.pop().unwrap().id;
        pair.engine.remove(JobId(id)).unwrap();
    }
}
