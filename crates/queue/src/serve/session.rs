//! One connection's conversation, without its socket.

use stdx::io::Io;

use crate::broker::{Broker, Flow};
use crate::engine::{ClientId, Now, PutTerms};
use crate::proto::command::{Command, Put, Refusal, parse};
use crate::proto::input::{Input, Step};
use crate::proto::reply::Reply;

/// Commands carried out before others get their turn.
const STEPS_MAX: usize = 256;

/// Bytes of the numbers that one `delete-batch` names.
const IDS_BYTES_MAX: u32 = 64 << 10;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// More bytes from the client.
    Input,
    /// A job, or the end of its patience.
    Job,
    /// The client has to take some of its answers first.
    Output,
    /// The log has to get on first.
    Log,
    /// Nothing: there is more to do, after the others.
    Turn,
    /// The end: its answers are sent, then it is closed.
    Quit,
    /// The end, now and without a word.
    Drop,
}

/// The conversation.
pub(crate) struct Session {
    pub(crate) client: ClientId,
    pub(crate) input: Input,
    /// The command whose body is coming.
    pending: Option<Pending>,
    entry: Entry,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Everything.
    Open,
    /// Nothing, before it has said whose it is.
    Locked,
}

/// A command that has a body.
enum Pending {
    /// A `put`, and what it asks for beside the usual.
    Put(Put, Option<Box<PutTerms>>),
    /// Numbers of jobs to delete.
    Ids { bytes: u32 },
}

impl Pending {
    fn bytes(&self) -> usize {
        match self {
            Pending::Put(put, _) => put.bytes as usize,
            Pending::Ids { bytes } => *bytes as usize,
        }
    }
}

/// Memory for bodies being received, over all connections.
pub(crate) trait Budget {
    /// Takes `bytes` out of it, if there is so much.
    fn take(&self, bytes: usize) -> bool;
    /// Puts `bytes` back.
    fn give_back(&self, bytes: usize);
    /// What is taken.
    fn taken(&self) -> usize;
}

/// What is to be done with the input after a line.
enum After {
    Nothing,
    Put(Put, Option<Box<PutTerms>>),
    Ids(u32),
}

impl Session {
    pub(crate) fn new(client: ClientId, entry: Entry) -> Session {
        Session { client, input: Input::default(), pending: None, entry }
    }

    /// Whether it still has to say whose it is.
    pub(crate) fn is_locked(&self) -> bool {
        self.entry == Entry::Locked
    }

    /// Carries out what has come in, until something has to be waited for.
    pub(crate) fn advance<D: Io>(&mut self, broker: &mut Broker<D>, budget: &impl Budget, now: Now) -> Next {
        for _ in 0..STEPS_MAX {
            if broker.is_waiting(self.client) {
                return Next::Job;
            }
            if broker.output_len(self.client) >= broker.config().connection_output_bytes_max {
                return Next::Output;
            }
            if broker.is_behind() {
                return Next::Log;
            }
            let after = match self.input.next() {
                Step::More => return Next::Input,
                Step::Http => return Next::Drop,
                Step::Answer(reply) => {
                    broker.reply(self.client, reply);
                    After::Nothing
                }
                Step::Body(body) => {
                    if let Some(pending) = self.pending.take() {
                        budget.give_back(pending.bytes());
                        broker.set_input_bytes(budget.taken());
                        with_body(broker, self.client, pending, body, now);
                    }
                    After::Nothing
                }
                Step::Line(line) if self.entry == Entry::Locked => match knock(broker, self.client, line, now) {
                    Some(entry) => {
                        self.entry = entry;
                        After::Nothing
                    }
                    None => return Next::Quit,
                },
                Step::Line(line) => match parse(line) {
                    Ok(Command::Put(put)) => After::Put(put, None),
                    Ok(Command::PutWith(put, with)) => After::Put(put, broker.terms_of(self.client, &with, now)),
                    Ok(Command::DeleteBatch { bytes }) => After::Ids(bytes),
                    Ok(command) => match broker.execute(self.client, &command, now) {
                        Flow::Go => After::Nothing,
                        Flow::Close => return Next::Quit,
                    },
                    Err(refusal) => {
                        let reply = match refusal {
                            Refusal::BadFormat => Reply::BadFormat,
                            Refusal::UnknownCommand => Reply::UnknownCommand,
                        };
                        broker.reply(self.client, reply);
                        After::Nothing
                    }
                },
            };
            match after {
                After::Nothing => {}
                After::Put(put, terms) => self.begin_put(broker, budget, put, terms),
                After::Ids(bytes) => self.begin_ids(budget, bytes),
            }
        }
        Next::Turn
    }

    /// In beanstalkd's order: too big is said first and the body thrown away; then a malformed line, whose body is read
    /// as commands.
    fn begin_put<D: Io>(
        &mut self,
        broker: &mut Broker<D>,
        budget: &impl Budget,
        put: Put,
        terms: Option<Box<PutTerms>>,
    ) {
        broker.count(self.client, &Command::Put(put));
        if put.bytes > broker.config().job_bytes_max {
            return self.input.swallow_body(put.bytes, Reply::JobTooBig);
        }
        if put.has_trailer {
            return broker.reply(self.client, Reply::BadFormat);
        }
        broker.mark_producer(self.client);
        self.begin_body(budget, Pending::Put(put, terms), put.bytes);
    }

    fn begin_ids(&mut self, budget: &impl Budget, bytes: u32) {
        if bytes > IDS_BYTES_MAX {
            return self.input.swallow_body(bytes, Reply::JobTooBig);
        }
        self.begin_body(budget, Pending::Ids { bytes }, bytes);
    }

    fn begin_body(&mut self, budget: &impl Budget, pending: Pending, bytes: u32) {
        if !budget.take(bytes as usize) {
            return self.input.swallow_body(bytes, Reply::OutOfMemory);
        }
        self.pending = Some(pending);
        self.input.expect_body(bytes);
    }

    /// The connection is gone.
    pub(crate) fn end(&mut self, budget: &impl Budget) {
        if let Some(pending) = self.pending.take() {
            budget.give_back(pending.bytes());
        }
    }
}

/// A line of somebody who has to say first whose he is; `None` closes the connection.
fn knock<D: Io>(broker: &mut Broker<D>, client: ClientId, line: &[u8], now: Now) -> Option<Entry> {
    let flow = match parse(line) {
        Ok(command @ (Command::Auth { .. } | Command::Quit)) => broker.execute(client, &command, now),
        _ => broker.not_authorized(client),
    };
    let entry = if broker.is_authorized(client) { Entry::Open } else { Entry::Locked };
    (flow == Flow::Go).then_some(entry)
}

/// Carries out a command whose body is here, or should be.
fn with_body<D: Io>(broker: &mut Broker<D>, client: ClientId, pending: Pending, body: Option<&[u8]>, now: Now) {
    match (pending, body) {
        (Pending::Put(put, terms), Some(body)) => {
            broker.set_terms(client, terms);
            broker.put(client, put, body, now);
        }
        (Pending::Put(..), None) => broker.no_body(client),
        (Pending::Ids { .. }, Some(text)) => broker.delete_batch(client, text, now),
        (Pending::Ids { .. }, None) => broker.reply(client, Reply::ExpectedCrlf),
    }
}
