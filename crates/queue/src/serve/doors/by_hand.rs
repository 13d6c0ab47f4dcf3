//! What operators ask: to see jobs, and to do something with those that nobody holds.

use control::wire::JobRow;
use stdx::io::Io;

use super::super::visit::Visit;
use super::{Outcome, row, unexpected};
use crate::door::{self, Done, JobAndBody, PauseNote, StateName};
use crate::engine::JobState;
use crate::names::{JobId, TubeName};
use crate::proto::answer::Answer;
use crate::proto::command::Command;

pub(super) async fn peek<D: Io>(visit: &Visit<D>, id: Option<JobId>) -> Outcome<Done> {
    let Some(id) = id else {
        visit.with(|broker, client, _| broker.await_state(client));
        visit.answer().await?;
        return Ok(Done::Jobs(Vec::new()));
    };
    let found = row(visit, id);
    match (visit.ask(Command::Peek { id }).await?, found) {
        (Answer::Job(_, body), Some(row)) => Ok(Done::Jobs(vec![JobAndBody { row, body }])),
        _ => Err(door::no_such_job(id)),
    }
}

pub(super) async fn peek_first<D: Io>(visit: &Visit<D>, tube: &TubeName, state: StateName) -> Outcome<Done> {
    let rows = visit.with(|broker, client, now| broker.job_rows(client, tube.as_str(), Some(state), 1, now));
    let rows = rows.ok_or_else(|| door::no_such_tube(tube.as_str()))?;
    peek(visit, rows.first().map(|row| JobId(row.id))).await
}

pub(super) async fn list<D: Io>(
    visit: &Visit<D>,
    tube: &TubeName,
    state: Option<StateName>,
    n: usize,
) -> Outcome<Vec<JobRow>> {
    let rows = visit.with(|broker, client, now| {
        broker.await_state(client);
        broker.job_rows(client, tube.as_str(), state, n, now)
    });
    visit.answer().await?;
    rows.ok_or_else(|| door::no_such_tube(tube.as_str()))
}

pub(super) async fn delete<D: Io>(visit: &Visit<D>, id: JobId) -> Outcome<Done> {
    is_free(visit, id)?;
    expect(visit.ask(Command::Delete { id }).await?, "DELETED", id)
}

pub(super) async fn bury<D: Io>(visit: &Visit<D>, id: JobId) -> Outcome<Done> {
    is_free(visit, id)?;
    visit.with(|broker, client, now| broker.bury_by_hand(client, id, now));
    expect(visit.answer().await?, "BURIED", id)
}

pub(super) async fn kick_job<D: Io>(visit: &Visit<D>, id: JobId) -> Outcome<Done> {
    expect(visit.ask(Command::KickJob { id }).await?, "KICKED", id)
}

pub(super) async fn kick<D: Io>(visit: &Visit<D>, tube: &TubeName, jobs_max: u32) -> Outcome<u64> {
    if visit.with(|broker, client, now| broker.job_rows(client, tube.as_str(), None, 0, now)).is_none() {
        return Err(door::no_such_tube(tube.as_str()));
    }
    visit.ask(Command::Use { tube: tube.as_str() }).await?;
    match visit.ask(Command::Kick { jobs_max }).await? {
        Answer::Kicked(jobs) => Ok(jobs),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn pause<D: Io>(visit: &Visit<D>, tube: &TubeName, for_s: u32, note: &PauseNote) -> Outcome<Done> {
    visit.with(|broker, client, now| {
        broker.count(client, &Command::PauseTube { tube: tube.as_str(), delay_s: for_s });
        broker.pause(client, tube.as_str(), for_s, note, now);
    });
    match visit.answer().await? {
        Answer::Word(word) if word == "PAUSED" => Ok(Done::Nothing),
        _ => Err(door::no_such_tube(tube.as_str())),
    }
}

fn is_free<D: Io>(visit: &Visit<D>, id: JobId) -> Outcome<()> {
    match visit.with(|broker, client, _| broker.state_of(client, id)) {
        Some(JobState::Reserved { .. }) => Err(door::job_reserved(id)),
        Some(_) => Ok(()),
        None => Err(door::no_such_job(id)),
    }
}

fn expect(answer: Answer, word: &str, id: JobId) -> Outcome<Done> {
    match answer {
        Answer::Word(heard) if heard == word => Ok(Done::Nothing),
        Answer::Word(heard) if heard == "NOT_FOUND" => Err(door::no_such_job(id)),
        other => Err(unexpected(&other)),
    }
}
