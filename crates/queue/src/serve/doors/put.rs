//! Jobs that callers put, many at once or for a tick of a periodic job.

use stdx::io::Io;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::{Outcome, unexpected};
use crate::broker::WhyNot;
use crate::door::{self, Done, NewJob};
use crate::names::{JobId, TubeName};
use crate::proto::answer::Answer;
use crate::proto::command::{Command, Put};

/// Jobs of a batch put before others get their turn.
const PUTS_AT_ONCE: usize = 64;

pub(super) async fn put<D: Io>(
    shell: &Shell<D>,
    visit: &Visit<D>,
    tube: &TubeName,
    jobs: Vec<NewJob>,
) -> Outcome<Vec<Outcome<JobId>>> {
    use_tube(visit, tube).await?;
    let job_bytes_max = shell.broker.borrow().config().job_bytes_max;
    let mut put = Vec::with_capacity(jobs.len());
    let mut begun = Vec::new();
    for (nth, job) in jobs.iter().enumerate() {
        while begun.is_empty() && shell.broker.borrow().is_behind() {
            shell.committed.notified().await;
        }
        begun.push(begin_put(visit, job, job_bytes_max));
        // Several are put before the first is waited for, so that they share a sync; but none past one that waits for room.
        let waits = visit.with(|broker, client, _| broker.is_waiting(client));
        if waits || begun.len() == PUTS_AT_ONCE || nth + 1 == jobs.len() {
            for begun in begun.drain(..) {
                put.push(match begun {
                    Ok(bytes) => end_put(visit, tube, bytes).await?,
                    Err(refused) => Err(refused),
                });
            }
        }
    }
    Ok(put)
}

/// Nothing else comes between the look at the last tick and the put: both are done in one turn of the thread.
pub(super) async fn fire<D: Io>(
    shell: &Shell<D>,
    visit: &Visit<D>,
    name: String,
    tick_ms: u64,
    tube: &TubeName,
    job: NewJob,
) -> Outcome<Done> {
    use_tube(visit, tube).await?;
    if visit.with(|broker, client, _| broker.last_tick(client, &name)) >= Some(tick_ms) {
        return Ok(Done::Nothing);
    }
    let job_bytes_max = shell.broker.borrow().config().job_bytes_max;
    visit.with(|broker, client, _| broker.set_next_tick(client, name, tick_ms));
    let bytes = begin_put(visit, &job, job_bytes_max)?;
    Ok(Done::Put(vec![end_put(visit, tube, bytes).await?]))
}

async fn use_tube<D: Io>(visit: &Visit<D>, tube: &TubeName) -> Outcome<()> {
    match visit.ask(Command::Use { tube: tube.as_str() }).await? {
        Answer::Word(word) if word == "OUT_OF_MEMORY" => Err(door::too_many_tubes()),
        _ => Ok(()),
    }
}

fn begin_put<D: Io>(visit: &Visit<D>, job: &NewJob, job_bytes_max: u32) -> Outcome<u64> {
    let bytes = u32::try_from(job.body.len()).ok().filter(|bytes| *bytes <= job_bytes_max);
    let bytes = bytes.ok_or_else(|| door::job_too_big(job_bytes_max))?;
    let with = job.terms.check(job.trace)?;
    let put = Put { pri: job.pri, delay_s: job.delay_s, ttr_s: job.ttr_s, bytes, has_trailer: false };
    visit.with(|broker, client, now| {
        broker.count(client, &Command::Put(put));
        broker.mark_producer(client);
        broker.set_trace(client, job.trace);
        let terms = with.and_then(|with| broker.terms_of(client, &with, now));
        broker.set_terms(client, terms);
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
                WhyNot::Keys => door::keys_full(),
                WhyNot::Memory => door::memory_full(),
            })
        }
        other => Err(unexpected(&other)),
    })
}
