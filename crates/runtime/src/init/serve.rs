//! The poll loop: from the application's start until a node knows how it ended.

use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stdx::clock::{Clock, Mono, SystemClock};

use super::boot::Init;
use super::conn::Conn;
use super::secrets;
use crate::cgroup;
use crate::exit::End;
use crate::node::Unclaimed;
use crate::protocol::{
    FromNode, InitHello, LinkError, RefusalCode, StoreState, VERSION, VERSION_MIN, Whom, common_version,
};

/// Time for a new connection to greet.
const GREETING: Duration = Duration::from_secs(2);
/// Connections that have not greeted yet.
const GREETING_MAX: usize = 4;
/// After the machine told init to end: time for a node to fetch the exit.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Where the application is in its life.
pub(super) enum Phase {
    Running,
    /// It has ended; those it left behind may write until then.
    Draining {
        until: Mono,
        end: End,
    },
    /// All is said; until then a node may come for it.
    Ended {
        until: Mono,
        end: End,
    },
    Gone,
}

/// Init as it serves: the application, the node, and those who would like to be it.
pub(super) struct Server {
    pub(super) init: Init,
    pub(super) clock: SystemClock,
    pub(super) phase: Phase,
    node: Option<Conn>,
    greeting: Vec<Conn>,
    store: StoreState,
    /// Init itself was told to end: when it turns to SIGKILL.
    kill_at: Option<Mono>,
    told_to_end: bool,
}

/// Serves until there is nothing left to do.
pub(super) fn run(init: Init) -> ExitCode {
    let mut server = Server {
        init,
        clock: SystemClock::new(),
        phase: Phase::Running,
        node: None,
        greeting: vec![],
        store: StoreState::Healthy,
        kill_at: None,
        told_to_end: false,
    };
    while !matches!(server.phase, Phase::Gone) {
        let wake = server.step();
        if !matches!(server.phase, Phase::Gone) {
            server.poll(wake);
        }
    }
    server.leave();
    ExitCode::SUCCESS
}

impl Server {
    /// Does what can be done now; returns when to come back at the latest.
    fn step(&mut self) -> Option<Mono> {
        let (now, wall) = (self.clock.mono(), self.clock.wall());
        let healthy = self.store == StoreState::Healthy;
        let spool = &mut self.init.spool;
        let later = self.init.pipes.iter_mut().filter_map(|pipe| pipe.pump(spool, now, wall, healthy)).min();
        let phase = self.advance(now);
        let kill = self.kill_when_due(now);
        self.greeting.retain(|conn| now < conn.deadline);
        if self.node.as_mut().is_some_and(|node| node.send_from(&mut self.init.spool).is_err()) {
            self.node = None;
        }
        let greeting = self.greeting.iter().map(|conn| conn.deadline).min();
        [later, phase, kill, greeting].into_iter().flatten().min()
    }

    /// Moves from phase to phase.
    fn advance(&mut self, now: Mono) -> Option<Mono> {
        match &self.phase {
            Phase::Draining { until, end } if now >= *until || self.init.pipes.iter().all(|pipe| pipe.is_done()) => {
                let end = end.clone();
                self.finish(end);
                self.advance(self.clock.mono())
            }
            Phase::Ended { .. } if self.init.spool.is_empty() => {
                self.phase = Phase::Gone;
                None
            }
            Phase::Ended { until, end } if now >= *until => {
                let word =
                    Unclaimed { end: end.clone(), time_ns: self.clock.wall().0, unacked: self.init.spool.unacked() };
                word.leave_at(&self.init.ticket);
                self.phase = Phase::Gone;
                None
            }
            Phase::Draining { until, .. } | Phase::Ended { until, .. } => Some(*until),
            Phase::Running | Phase::Gone => None,
        }
    }

    /// The application's last word: kills what it left behind, takes what is in the pipes, tells the end.
    fn finish(&mut self, mut end: End) {
        end.left_behind = self.kill_all();
        let (now, wall) = (self.clock.mono(), self.clock.wall());
        for pipe in &mut self.init.pipes {
            pipe.drain(&mut self.init.spool, now, wall);
        }
        self.init.spool.exit(wall, end.clone());
        if let Some(folder) = &self.init.ticket.secrets_folder {
            secrets::remove(folder);
        }
        cgroup::remove(&self.init.cgroup.folders);
        let patience =
            if self.told_to_end { LAST_CALL } else { Duration::from_millis(self.init.limits.unclaimed_ms.into()) };
        self.phase = Phase::Ended { until: now + patience, end };
    }

    /// Waits for something to happen and takes it in.
    fn poll(&mut self, wake: Option<Mono>) {
        let conns: Vec<_> = self.node.iter().chain(&self.greeting).collect();
        let mut fds =
            vec![PollFd::new(&self.init.signals, PollFlags::IN), PollFd::new(&self.init.listener, PollFlags::IN)];
        fds.extend(conns.iter().map(|conn| {
            let write = if conn.wants_write() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(*conn, PollFlags::IN | write)
        }));
        let pipes: Vec<_> = self.init.pipes.iter().map(|pipe| pipe.wanted()).collect();
        fds.extend(pipes.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        let timeout = wake.map(|wake| timespec(wake.since(self.clock.mono())));
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return; // interrupted: the caller comes again
        }
        let hits: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let polled: Vec<bool> = pipes.iter().map(Option::is_some).collect();
        drop(fds);
        self.take_in(&hits, &polled);
    }

    fn take_in(&mut self, hits: &[bool], polled: &[bool]) {
        let (greeting, has_node) = (self.greeting.len(), self.node.is_some());
        let mut hits = hits.iter().copied();
        let mut hit = || hits.next().unwrap_or(false);
        let (signals, accept) = (hit(), hit());
        // The node before those who would take its place: a dead one must be noticed first.
        if has_node && hit() {
            self.hear_node();
        }
        let spoken: Vec<bool> = (0..greeting).map(|_| hit()).collect();
        for (pipe, _) in self.init.pipes.iter_mut().zip(polled).filter(|(_, polled)| **polled) {
            if hit() {
                pipe.mark_readable();
            }
        }
        for index in (0..greeting).rev().filter(|index| spoken[*index]) {
            let conn = self.greeting.remove(index);
            self.hear_greeting(conn);
        }
        if accept {
            self.accept();
        }
        if signals {
            self.hear_signals();
        }
    }

    fn accept(&mut self) {
        let deadline = self.clock.mono() + GREETING;
        while let Some(stream) = self.init.listener.accept() {
            let mut conn = Conn::new(stream, &self.hello(), deadline);
            if self.greeting.len() >= GREETING_MAX {
                conn.refuse(RefusalCode::Busy, "too many connections");
            } else if conn.flush().is_ok() {
                self.greeting.push(conn);
            }
        }
    }

    fn hello(&self) -> InitHello {
        let (ticket, notes) = (self.init.ticket.clone(), self.init.cgroup.notes.clone());
        InitHello { version: VERSION, version_min: VERSION_MIN, ticket, notes }
    }

    /// A connection that has not been admitted says something: it must be a hello.
    fn hear_greeting(&mut self, mut conn: Conn) {
        let mut said = match conn.receive() {
            Ok(said) => said.into_iter(),
            Err(LinkError::Closed { .. } | LinkError::Io(_)) => return,
            Err(error) => return conn.refuse(RefusalCode::Garbage, &error.to_string()),
        };
        match said.next() {
            None => self.greeting.push(conn),
            Some(FromNode::Hello(hello)) => match common_version(hello.version, hello.version_min) {
                None => {
                    conn.refuse(RefusalCode::Version, &format!("this init speaks versions {VERSION_MIN} to {VERSION}"))
                }
                Some(_) if self.node.is_some() => conn.refuse(RefusalCode::Busy, "another node is connected"),
                Some(version) => {
                    conn.welcome(version);
                    self.init.spool.rewind();
                    self.store = StoreState::Healthy;
                    self.node = Some(conn);
                    said.for_each(|message| self.obey(message));
                }
            },
            Some(_) => conn.refuse(RefusalCode::Garbage, "a hello was expected"),
        }
    }

    fn hear_node(&mut self) {
        match self.node.as_mut().map(Conn::receive) {
            Some(Ok(said)) => said.into_iter().for_each(|message| self.obey(message)),
            Some(Err(_)) => self.node = None,
            None => {}
        }
    }

    fn obey(&mut self, message: FromNode) {
        match message {
            FromNode::Ack(seq) => self.init.spool.ack(seq),
            FromNode::Store(state) => self.store = state,
            FromNode::Signal { whom: Whom::Group, signal } => self.signal_group(signal),
            FromNode::Signal { whom: Whom::All, .. } => {
                self.kill_all();
            }
            FromNode::Hello(_) | FromNode::Unknown => {}
        }
    }

    fn hear_signals(&mut self) {
        while let Some(signal) = self.init.signals.next() {
            match signal {
                libc::SIGCHLD => self.reap(),
                libc::SIGTERM => {
                    self.told_to_end = true;
                    self.signal_group(signal);
                    let now = self.clock.mono();
                    self.kill_at.get_or_insert(now + self.init.stop_timeout);
                    if let Phase::Ended { until, .. } = &mut self.phase {
                        *until = (*until).min(now + LAST_CALL);
                    }
                }
                _ => self.signal_group(signal),
            }
        }
    }

    fn kill_when_due(&mut self, now: Mono) -> Option<Mono> {
        let due = self.kill_at.filter(|_| matches!(self.phase, Phase::Running))?;
        if now < due {
            return Some(due);
        }
        self.kill_at = None;
        self.kill_all();
        None
    }

    /// Nothing of the instance remains but what it wrote to its own folders.
    fn leave(self) {
        cgroup::remove(&self.init.cgroup.folders);
        if let Err(error) = std::fs::remove_file(&self.init.ticket.socket) {
            tracing::debug!(%error, "the socket was gone already");
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    // Rounded up, so that it is not early.
    let nanos = duration.as_nanos() + 1_000_000;
    Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 }
}
