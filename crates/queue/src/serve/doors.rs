//! What callers within the process ask, carried out.

use std::rc::Rc;

use control::error::ApiError;
use control::wire::JobRow;
use stdx::io::Io;

use super::shell::Shell;
use super::visit::Visit;
use crate::broker::WhyNot;
use crate::door::{self, Call, DeadFilter, Done, JobAndBody, Lease, NewJob, Op, Settle, Settled, StateName};
use crate::engine::JobState;
use crate::names::{JobId, Namespace, TubeName};
use crate::proto::answer::Answer;
use crate::proto::command::{Command, Put};

/// Jobs of a batch put before others get their turn.
const PUTS_AT_ONCE: usize = 64;

type Outcome<T> = Result<T, ApiError>;

/// Carries out one call, unless the caller goes before.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>, call: Call) {
    let Call { namespace, op, mut to } = call;
    let done = tokio::select! {
        done = carry_out(&shell, &namespace, op) => done,
        () = to.closed() => return,
    };
    if let Err(Ok(Done::Jobs(jobs))) = to.send(done) {
        // Nobody heard of them.
        shell.give_back(&namespace, jobs.iter().map(|job| JobId(job.row.id)));
    }
}

async fn carry_out<D: Io>(shell: &Rc<Shell<D>>, namespace: &Namespace, op: Op) -> Outcome<Done> {
    let asks_anywhere = matches!(op, Op::Put { .. } | Op::Reserve { .. } | Op::Dead { .. } | Op::Replay { .. });
    if !asks_anywhere && !shell.broker.borrow().knows(namespace) {
        return Err(nothing_there(&op));
    }
    let visit = Visit::enter(shell, namespace);
    match op {
        Op::Put { tube, jobs } => put(shell, &visit, &tube, jobs).await.map(Done::Put),
        Op::Reserve { tubes, wait_s, jobs_max } => {
            let jobs = reserve(&visit, &tubes, wait_s, jobs_max).await?;
            shell.keep(namespace, &visit, jobs.iter().map(|job| JobId(job.row.id)));
            Ok(Done::Jobs(jobs))
        }
        Op::Settle { lease, how } => settle(shell, namespace, &visit, lease, how).await.map(Done::Settled),
        Op::Peek { id } => peek(&visit, Some(id)).await,
        Op::PeekFirst { tube, state } => {
            let rows = visit.with(|broker, client, now| broker.job_rows(client, tube.as_str(), Some(state), 1, now));
            let rows = rows.ok_or_else(|| door::no_such_tube(tube.as_str()))?;
            peek(&visit, rows.first().map(|row| JobId(row.id))).await
        }
        Op::List { tube, state, n } => list(&visit, &tube, state, n).await.map(Done::Rows),
        Op::Delete { id } => {
            is_free(&visit, id)?;
            expect(visit.ask(Command::Delete { id }).await?, "DELETED", id)
        }
        Op::Bury { id } => {
            is_free(&visit, id)?;
            visit.with(|broker, client, now| broker.bury_by_hand(client, id, now));
            expect(visit.answer().await?, "BURIED", id)
        }
        Op::KickJob { id } => expect(visit.ask(Command::KickJob { id }).await?, "KICKED", id),
        Op::Kick { tube, jobs_max } => kick(&visit, &tube, jobs_max).await.map(Done::Count),
        Op::Pause { tube, for_s } => {
            match visit.ask(Command::PauseTube { tube: tube.as_str(), delay_s: for_s }).await? {
                Answer::Word(word) if word == "PAUSED" => Ok(Done::Nothing),
                _ => Err(door::no_such_tube(tube.as_str())),
            }
        }
        Op::Fail { lease, reason, delay_s } => {
            fail(shell, namespace, &visit, lease, &reason, delay_s).await.map(Done::Settled)
        }
        Op::Dead { filter, n } => dead(&visit, namespace, &filter, n).await,
        Op::Replay { filter, n, preview } => replay(&visit, namespace, &filter, n, preview).await,
        Op::Status => {
            let connections = shell.connections.get().into();
            Ok(Done::Status(visit.with(|broker, _, now| broker.status(now, connections))))
        }
    }
}

/// What is answered for a namespace in which nobody ever was; it does not come to be by being asked for.
fn nothing_there(op: &Op) -> ApiError {
    match op {
        Op::PeekFirst { tube, .. } | Op::List { tube, .. } | Op::Kick { tube, .. } | Op::Pause { tube, .. } => {
            door::no_such_tube(tube.as_str())
        }
        Op::Settle { lease: Lease { id, .. }, .. }
        | Op::Fail { lease: Lease { id, .. }, .. }
        | Op::Peek { id }
        | Op::Delete { id }
        | Op::Bury { id }
        | Op::KickJob { id } => door::no_such_job(*id),
        Op::Put { .. } | Op::Reserve { .. } | Op::Dead { .. } | Op::Replay { .. } | Op::Status => door::unavailable(),
    }
}

async fn put<D: Io>(
    shell: &Shell<D>,
    visit: &Visit<D>,
    tube: &TubeName,
    jobs: Vec<NewJob>,
) -> Outcome<Vec<Outcome<JobId>>> {
    match visit.ask(Command::Use { tube: tube.as_str() }).await? {
        Answer::Word(word) if word == "OUT_OF_MEMORY" => return Err(door::too_many_tubes()),
        _ => {}
    }
    let job_bytes_max = shell.broker.borrow().config().job_bytes_max;
    let mut put = Vec::with_capacity(jobs.len());
    for jobs in jobs.chunks(PUTS_AT_ONCE) {
        while shell.broker.borrow().is_behind() {
            shell.committed.notified().await;
        }
        // All of a chunk are put before the first is waited for, so that they share a sync.
        let begun: Vec<Outcome<u64>> = jobs.iter().map(|job| begin_put(visit, job, job_bytes_max)).collect();
        for begun in begun {
            put.push(match begun {
                Ok(bytes) => end_put(visit, tube, bytes).await?,
                Err(refused) => Err(refused),
            });
        }
    }
    Ok(put)
}

fn begin_put<D: Io>(visit: &Visit<D>, job: &NewJob, job_bytes_max: u32) -> Outcome<u64> {
    let bytes = u32::try_from(job.body.len()).ok().filter(|bytes| *bytes <= job_bytes_max);
    let bytes = bytes.ok_or_else(|| door::job_too_big(job_bytes_max))?;
    let put = Put { pri: job.pri, delay_s: job.delay_s, ttr_s: job.ttr_s, bytes, has_trailer: false };
    visit.with(|broker, client, now| {
        broker.count(client, &Command::Put(put));
        broker.mark_producer(client);
        broker.set_trace(client, job.trace);
        broker.put(client, put, &job.body, now);
    });
    Ok(bytes.into())
}

/// The inner error is one job's, the outer that of all.
async fn end_put<D: Io>(visit: &Visit<D>, tube: &TubeName, bytes: u64) -> Outcome<Outcome<JobId>> {
    Ok(match visit.answer().await? {
        Answer::Inserted(id) => Ok(id),
        Answer::Word(word) if word == "OUT_OF_MEMORY" => {
            Err(match visit.with(|broker, client, _| broker.why_not(client, bytes)) {
                WhyNot::Tube => door::tube_full(tube.as_str()),
                WhyNot::Queue => door::queue_full(),
                WhyNot::Disk => door::disk_full(),
            })
        }
        other => Err(unexpected(&other)),
    })
}

async fn reserve<D: Io>(
    visit: &Visit<D>,
    tubes: &[TubeName],
    wait_s: u32,
    jobs_max: usize,
) -> Outcome<Vec<JobAndBody>> {
    for tube in tubes {
        match visit.ask(Command::Watch { tube: tube.as_str() }).await? {
            Answer::Word(word) if word == "OUT_OF_MEMORY" => return Err(door::too_many_tubes()),
            _ => {}
        }
    }
    if !tubes.iter().any(|tube| tube.as_str() == TubeName::DEFAULT) {
        visit.ask(Command::Ignore { tube: TubeName::DEFAULT }).await?;
    }
    let mut jobs = Vec::new();
    let mut timeout_s = wait_s.min(door::WAIT_S_MAX);
    while jobs.len() < jobs_max {
        match visit.ask(Command::ReserveWithTimeout { timeout_s }).await? {
            Answer::Job(id, body) => jobs.extend(row(visit, id).map(|row| {
                let lease = Some(row.reserves);
                JobAndBody { row: JobRow { lease, ..row }, body }
            })),
            Answer::Word(word) if word == "TIMED_OUT" || word == "DEADLINE_SOON" => break,
            other => return Err(unexpected(&other)),
        }
        timeout_s = 0;
    }
    Ok(jobs)
}

async fn settle<D: Io>(
    shell: &Shell<D>,
    namespace: &Namespace,
    visit: &Visit<D>,
    lease: Lease,
    how: Settle,
) -> Outcome<Settled> {
    let id = lease.id;
    if visit.with(|broker, client, _| broker.state_of(client, id)).is_none() {
        return Err(door::no_such_job(id));
    }
    let terms = shell.take_back(namespace, visit, lease).ok_or_else(|| door::lease_lost(id))?;
    let command = match how {
        Settle::Finish => Command::Delete { id },
        Settle::Fail { delay_s } => return end_attempt(visit, id, "", delay_s).await,
        Settle::Release { pri, delay_s } => Command::Release { id, pri: pri.unwrap_or(terms.pri), delay_s },
        Settle::Bury { pri } => Command::Bury { id, pri: pri.unwrap_or(terms.pri) },
        Settle::Touch => {
            let touched = visit.ask(Command::Touch { id }).await;
            shell.keep(namespace, visit, [id]);
            return touched.map(|_| Settled::AsAsked);
        }
    };
    match visit.ask(command).await? {
        Answer::Word(word) if word == "BURIED" && !matches!(how, Settle::Bury { .. }) => Ok(Settled::Buried),
        Answer::Word(word) if matches!(word.as_str(), "DELETED" | "RELEASED" | "BURIED") => Ok(Settled::AsAsked),
        other => Err(unexpected(&other)),
    }
}

async fn fail<D: Io>(
    shell: &Shell<D>,
    namespace: &Namespace,
    visit: &Visit<D>,
    lease: Lease,
    reason: &str,
    delay_s: Option<u32>,
) -> Outcome<Settled> {
    if visit.with(|broker, client, _| broker.state_of(client, lease.id)).is_none() {
        return Err(door::no_such_job(lease.id));
    }
    shell.take_back(namespace, visit, lease).ok_or_else(|| door::lease_lost(lease.id))?;
    end_attempt(visit, lease.id, reason, delay_s).await
}

async fn dead<D: Io>(visit: &Visit<D>, namespace: &Namespace, filter: &DeadFilter, n: usize) -> Outcome<Done> {
    let dead = visit.with(|broker, client, _| {
        broker.await_state(client);
        broker.dead_jobs(namespace, filter, n)
    });
    visit.answer().await?;
    Ok(Done::Dead(dead))
}

async fn replay<D: Io>(
    visit: &Visit<D>,
    namespace: &Namespace,
    filter: &DeadFilter,
    n: usize,
    preview: bool,
) -> Outcome<Done> {
    let replayed = visit.with(|broker, client, now| {
        let replayed = broker.replay(namespace, filter, n, preview, now);
        broker.await_state(client);
        replayed
    });
    visit.answer().await?;
    Ok(Done::Replayed(replayed))
}

/// The visit holds the job.
async fn end_attempt<D: Io>(visit: &Visit<D>, id: JobId, reason: &str, delay_s: Option<u32>) -> Outcome<Settled> {
    let delay_ms = delay_s.map(|delay_s| u64::from(delay_s) * 1_000);
    visit.with(|broker, client, now| broker.fail_job(client, id, reason, delay_ms, now));
    match visit.answer().await? {
        Answer::Word(word) if word == "BURIED" => Ok(Settled::Buried),
        Answer::Word(word) if word == "FAILED" => Ok(Settled::AsAsked),
        other => Err(unexpected(&other)),
    }
}

async fn peek<D: Io>(visit: &Visit<D>, id: Option<JobId>) -> Outcome<Done> {
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

async fn list<D: Io>(visit: &Visit<D>, tube: &TubeName, state: Option<StateName>, n: usize) -> Outcome<Vec<JobRow>> {
    let rows = visit.with(|broker, client, now| {
        broker.await_state(client);
        broker.job_rows(client, tube.as_str(), state, n, now)
    });
    visit.answer().await?;
    rows.ok_or_else(|| door::no_such_tube(tube.as_str()))
}

async fn kick<D: Io>(visit: &Visit<D>, tube: &TubeName, jobs_max: u32) -> Outcome<u64> {
    if visit.with(|broker, client, now| broker.job_rows(client, tube.as_str(), None, 0, now)).is_none() {
        return Err(door::no_such_tube(tube.as_str()));
    }
    visit.ask(Command::Use { tube: tube.as_str() }).await?;
    match visit.ask(Command::Kick { jobs_max }).await? {
        Answer::Kicked(jobs) => Ok(jobs),
        other => Err(unexpected(&other)),
    }
}

fn row<D: Io>(visit: &Visit<D>, id: JobId) -> Option<JobRow> {
    visit.with(|broker, client, now| broker.job_row(client, id, now))
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

fn unexpected(answer: &Answer) -> ApiError {
    match answer {
        Answer::Word(word) => door::unexpected(word),
        other => door::unexpected(&format!("{other:?}")),
    }
}
