//! One command, from the parsed line to the answer.

use std::time::Duration;

use stdx::clock::Wall;
use stdx::io::Io;

use super::{AUTH_TRIES_MAX, Broker};
use crate::engine::{ClientId, Now, Refused, SpaceIx};
use crate::names::{JobId, Namespace};
use crate::proto::command::Command;
use crate::proto::reply::Reply;

/// What the connection does after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Reads the next one.
    Go,
    /// Sends what it has to send and closes.
    Close,
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

impl<D: Io> Broker<D> {
    /// Carries out a command other than `put`, whose body is yet to come.
    pub(crate) fn execute(&mut self, client: ClientId, command: &Command<'_>, now: Now) -> Flow {
        self.engine.now = now;
        self.count(client, command);
        self.bring_for(client, command);
        if self.failed.is_some() {
            let flow = if *command == Command::Quit { Flow::Close } else { Flow::Go };
            if flow == Flow::Go {
                self.say(client, Reply::InternalError);
            }
            return flow;
        }
        match *command {
            Command::Put(_) | Command::PutWith(..) | Command::DeleteBatch { .. } => {
                unreachable!("their body comes with them")
            }
            Command::Reserve => self.reserve(client, None, now),
            Command::ReserveWithTimeout { timeout_s } => self.reserve(client, Some(seconds(timeout_s)), now),
            Command::ReserveJob { id } => self.reserve_job(client, id, now),
            Command::Delete { id } => self.delete(client, id, now),
            Command::Release { id, pri, delay_s } => self.release_job(client, id, pri, delay_s, now),
            Command::Bury { id, pri } => self.bury(client, id, pri, now),
            Command::Touch { id } => self.touch(client, id, now),
            Command::Kick { jobs_max } => self.kick(client, jobs_max, now),
            Command::KickJob { id } => self.kick_job(client, id, now),
            Command::PauseTube { tube, delay_s } => self.pause_tube(client, tube, delay_s, now),
            Command::Peek { id } => self.peek(client, Some(id)),
            Command::PeekReady => self.peek(client, self.used(client).ready.first().map(|key| key.id())),
            Command::PeekDelayed => self.peek(client, self.used(client).delayed.first().map(|&(_, id)| id)),
            Command::PeekBuried => self.peek(client, self.used(client).buried.first().map(|&(_, id)| id)),
            Command::Use { tube } => match self.engine.use_tube(client, tube) {
                Ok(()) => self.say(client, Reply::Using(tube)),
                Err(refused) => self.refuse(client, refused),
            },
            Command::Watch { tube } => match self.engine.watch(client, tube) {
                Ok(tubes) => self.say(client, Reply::Watching(tubes)),
                Err(refused) => self.refuse(client, refused),
            },
            Command::Ignore { tube } => {
                let watched = self.engine.ignore(client, tube);
                self.say(client, watched.map_or(Reply::NotIgnored, Reply::Watching));
            }
            Command::StatsJob { id } => self.stats_job(client, id, now),
            Command::StatsTube { tube } => self.stats_tube(client, tube, now),
            Command::Stats => self.stats(client, now),
            Command::ListTubes => self.list_tubes(client),
            Command::ListTubesWatched => self.list_watched(client),
            Command::ListTubeUsed => {
                let name = self.used(client).name.clone();
                self.say(client, Reply::Using(name.as_str()));
            }
            Command::Quit => return Flow::Close,
            Command::Auth { token } => return self.authorize(client, token, now),
            _ => self.execute_ours(client, command, now),
        }
        self.after_engine(now);
        Flow::Go
    }

    /// The commands that beanstalkd does not have.
    fn execute_ours(&mut self, client: ClientId, command: &Command<'_>, now: Now) {
        match *command {
            Command::Fail { id, reason } => self.fail_job(client, id, reason, None, now),
            Command::Trace { context } => {
                self.conns[client.0 as usize].aside.trace = Some(context);
                self.say(client, Reply::Tracing);
            }
            Command::JobTrace { id } => self.job_trace(client, id),
            Command::ReserveBatch { jobs_max, timeout_s } => {
                self.reserve_batch(client, jobs_max, timeout_s.map(seconds), now);
            }
            Command::Leased { lease, id, then } => self.leased(client, lease, id, then, now),
            other => unreachable!("{other:?} is beanstalkd's"),
        }
    }

    /// Answers a line that is no command, or a body that is none.
    pub(crate) fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        let reply = if self.failed.is_some() { Reply::InternalError } else { reply };
        self.say(client, reply);
    }

    /// A body that was not followed by CR LF.
    pub(crate) fn no_body(&mut self, client: ClientId) {
        self.engine.skip_id();
        self.reply(client, Reply::ExpectedCrlf);
    }

    /// An answer that depends on nothing but the connection.
    pub(super) fn say(&mut self, client: ClientId, reply: Reply<'_>) {
        self.answer(client, reply, wal::Lsn(0));
    }

    /// An answer that tells of the state as it is now, so that it waits for all that was appended.
    pub(super) fn tell_state(&mut self, client: ClientId, reply: Reply<'_>) {
        let lsn = self.journal.newest();
        self.answer(client, reply, lsn);
    }

    pub(super) fn refuse(&mut self, client: ClientId, refused: Refused) {
        tracing::debug!(?refused, "a command was refused");
        self.say(client, Reply::OutOfMemory);
    }

    pub(super) fn space_of(&self, client: ClientId) -> SpaceIx {
        self.engine.client(client).space
    }

    fn used(&self, client: ClientId) -> &crate::engine::Tube {
        self.engine.tube(self.engine.client(client).used)
    }

    fn peek(&mut self, client: ClientId, id: Option<JobId>) {
        let space = self.space_of(client);
        let Some(job) = id.and_then(|id| self.engine.job_in(space, id)) else {
            return self.tell_state(client, Reply::NotFound);
        };
        let (id, lsn) = (job.id, job.lsn);
        match self.body(id) {
            Ok(body) => self.answer(client, Reply::Found(id, &body), lsn),
            Err(cause) => {
                tracing::error!(job = id.0, %cause, "a job's body cannot be read");
                self.say(client, Reply::InternalError);
            }
        }
    }

    fn job_trace(&mut self, client: ClientId, id: JobId) {
        let space = self.space_of(client);
        let job = self.engine.job_in(space, id);
        let found = job.and_then(|job| Some((self.engine.facts(id)?.trace?, job.lsn)));
        match found {
            Some((trace, lsn)) => self.answer(client, Reply::JobTrace(trace), lsn),
            None => self.tell_state(client, Reply::NotFound),
        }
    }

    fn authorize(&mut self, client: ClientId, token: &str, now: Now) -> Flow {
        if let Some(scope) = self.tokens.namespace(token) {
            let space = self.engine.space_ix(&Namespace(Some(scope)));
            self.engine.move_to(client, space);
            self.conns[client.0 as usize].is_authorized = true;
            self.say(client, Reply::Authorized);
            self.after_engine(now);
            return Flow::Go;
        }
        self.not_authorized(client)
    }

    /// Whether the connection has shown a token.
    pub(crate) fn is_authorized(&self, client: ClientId) -> bool {
        self.conns[client.0 as usize].is_authorized
    }

    /// A wrong token, or a command that wants one before it.
    pub(crate) fn not_authorized(&mut self, client: ClientId) -> Flow {
        self.say(client, Reply::NotAuthorized);
        let tries = &mut self.conns[client.0 as usize].wrong_tokens;
        *tries += 1;
        if *tries >= AUTH_TRIES_MAX { Flow::Close } else { Flow::Go }
    }

    fn list_tubes(&mut self, client: ClientId) {
        let mut yaml = crate::proto::yaml::Yaml::new();
        let space = self.engine.space(self.space_of(client));
        for &ix in &space.order {
            yaml.item(&self.engine.tube(ix).name);
        }
        self.tell_state(client, Reply::Ok(yaml.as_bytes()));
    }

    fn list_watched(&mut self, client: ClientId) {
        let mut yaml = crate::proto::yaml::Yaml::new();
        for &ix in &self.engine.client(client).watched {
            yaml.item(&self.engine.tube(ix).name);
        }
        self.say(client, Reply::Ok(yaml.as_bytes()));
    }
}

/// Seconds from now on the wall clock, in milliseconds and never too early. 0 is now.
pub(super) fn due_ms(now: Wall, delay_s: u32) -> u64 {
    if delay_s == 0 { 0 } else { now.0.div_ceil(1_000_000).saturating_add(u64::from(delay_s) * 1000) }
}
