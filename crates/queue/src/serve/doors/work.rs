//! What workers ask: jobs, and to say what became of them.

use control::wire::JobRow;
use stdx::io::Io;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::{Outcome, row, unexpected};
use crate::door::{self, JobAndBody, Lease, Settle, Settled, Wanted};
use crate::names::{JobId, Namespace, TubeName};
use crate::proto::answer::Answer;
use crate::proto::command::Command;

pub(super) async fn reserve<D: Io>(
    shell: &Shell<D>,
    namespace: &Namespace,
    visit: &Visit<D>,
    asked: Wanted,
) -> Outcome<Vec<JobAndBody>> {
    let Wanted { tubes, wait_s, jobs_max, worker } = asked;
    for tube in &tubes {
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
    shell.keep(namespace, visit, jobs.iter().map(|job| JobId(job.row.id)));
    for job in &jobs {
        shell.broker.borrow_mut().name_holder(JobId(job.row.id), &worker);
    }
    Ok(jobs)
}

pub(super) async fn settle<D: Io>(
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
    let asks_bury = matches!(how, Settle::Bury { .. });
    let command = match how {
        Settle::Finish => Command::Delete { id },
        Settle::Fail { reason, delay_s } => return end_attempt(visit, id, &reason, delay_s).await,
        Settle::Release { pri, delay_s } => Command::Release { id, pri: pri.unwrap_or(terms.pri), delay_s },
        Settle::Bury { pri } => Command::Bury { id, pri: pri.unwrap_or(terms.pri) },
        Settle::Touch => {
            let touched = visit.ask(Command::Touch { id }).await;
            shell.keep(namespace, visit, [id]);
            return touched.map(|_| Settled::AsAsked);
        }
    };
    match visit.ask(command).await? {
        Answer::Word(word) if word == "BURIED" && !asks_bury => Ok(Settled::Buried),
        Answer::Word(word) if matches!(word.as_str(), "DELETED" | "RELEASED" | "BURIED") => Ok(Settled::AsAsked),
        other => Err(unexpected(&other)),
    }
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
