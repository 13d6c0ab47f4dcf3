//! One connection's conversation, without its socket.

use stdx::io::Io;

use crate::broker::{Broker, Flow};
use crate::engine::{ClientId, Now, PutTerms};
use crate::proto::command::{Command, Put, Refusal, parse};
use crate::proto::input::{Input, Step};
use crate::proto::reply::Reply;

/// Commands carried out before others get their turn.
const STEPS_MAX: usize = 256;

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
    /// The `put` whose body is coming.
    put: Option<Put>,
    /// What it asks for beside the usual.
    terms: Option<Box<PutTerms>>,
}

/// Memory for bodies being received, over all connections.
pub(crate) trait Budget {
    /// Takes `bytes` out of it, if there is so much.
    fn take(&self, bytes: usize) -> bool;
    /// Puts `bytes` back.
    fn give_back(&self, bytes: usize);
}

/// What is to be done with the input after a line.
enum After {
    Nothing,
    Body(Put, Option<Box<PutTerms>>),
}

impl Session {
    pub(crate) fn new(client: ClientId) -> Session {
        Session { client, input: Input::default(), put: None, terms: None }
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
                    if let Some(put) = self.put.take() {
                        budget.give_back(put.bytes as usize);
                        match body {
                            Some(body) => {
                                broker.set_terms(self.client, self.terms.take());
                                broker.put(self.client, put, body, now);
                            }
                            None => broker.no_body(self.client),
                        }
                    }
                    After::Nothing
                }
                Step::Line(line) => match parse(line) {
                    Ok(Command::Put(put)) => After::Body(put, None),
                    Ok(Command::PutWith(put, with)) => After::Body(put, broker.terms_of(self.client, &with, now)),
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
            if let After::Body(put, terms) = after {
                self.terms = terms;
                self.begin_put(broker, budget, put);
            }
        }
        Next::Turn
    }

    /// In beanstalkd's order: too big is said first and the body thrown away; then a malformed line, whose body is read
    /// as commands.
    fn begin_put<D: Io>(&mut self, broker: &mut Broker<D>, budget: &impl Budget, put: Put) {
        broker.count(self.client, &Command::Put(put));
        if put.bytes > broker.config().job_bytes_max {
            return self.input.swallow_body(put.bytes, Reply::JobTooBig);
        }
        if put.has_trailer {
            return broker.reply(self.client, Reply::BadFormat);
        }
        broker.mark_producer(self.client);
        if !budget.take(put.bytes as usize) {
            return self.input.swallow_body(put.bytes, Reply::OutOfMemory);
        }
        self.put = Some(put);
        self.input.expect_body(put.bytes);
    }

    /// The connection is gone.
    pub(crate) fn end(&mut self, budget: &impl Budget) {
        if let Some(put) = self.put.take() {
            budget.give_back(put.bytes as usize);
        }
    }
}
