//! What callers within the process ask, carried out.

mod by_hand;
mod dead;
mod put;
mod snapshot;
mod work;

use std::rc::Rc;

use control::error::ApiError;
use control::wire::JobRow;
use stdx::io::Io;

use super::shell::Shell;
use super::visit::Visit;
use crate::door::{self, Call, Done, Lease, Op, Replayed};
use crate::names::{JobId, Namespace};
use crate::proto::answer::Answer;

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
        let leases = jobs.iter().filter_map(|job| Some(Lease { id: JobId(job.row.id), number: job.row.lease? }));
        shell.give_back(&namespace, &leases.collect::<Vec<_>>());
    }
}

async fn carry_out<D: Io>(shell: &Rc<Shell<D>>, namespace: &Namespace, op: Op) -> Outcome<Done> {
    if !shell.broker.borrow().knows(namespace)
        && let Some(answer) = nothing_there(&op)
    {
        return answer;
    }
    let visit = Visit::enter(shell, namespace);
    match op {
        Op::Put { tube, jobs } => put::put(shell, &visit, &tube, jobs).await.map(Done::Put),
        Op::Reserve(wanted) => work::reserve(shell, namespace, &visit, wanted).await.map(Done::Jobs),
        Op::Settle { lease, how } => work::settle(shell, namespace, &visit, lease, how).await.map(Done::Settled),
        Op::Peek { id } => by_hand::peek(&visit, Some(id)).await,
        Op::PeekFirst { tube, state } => by_hand::peek_first(&visit, &tube, state).await,
        Op::List { tube, state, n } => by_hand::list(&visit, &tube, state, n).await.map(Done::Rows),
        Op::Delete { id } => by_hand::delete(&visit, id).await,
        Op::Bury { id } => by_hand::bury(&visit, id).await,
        Op::KickJob { id } => by_hand::kick_job(&visit, id).await,
        Op::Kick { tube, jobs_max } => by_hand::kick(&visit, &tube, jobs_max).await.map(Done::Count),
        Op::Pause { tube, for_s, note } => by_hand::pause(&visit, &tube, for_s, &note).await,
        Op::Ticks { names } => {
            let ticks = visit.with(|broker, client, now| broker.take_ticks(client, &names, now));
            visit.answer().await?;
            Ok(Done::Ticks(ticks))
        }
        Op::Fire { name, tick_ms, tube, job } => put::fire(shell, &visit, name, tick_ms, &tube, job).await,
        Op::LastTicks => Ok(Done::Crons(visit.with(|broker, client, _| broker.last_ticks(client)))),
        Op::Dead { filter, n } => dead::dead(&visit, namespace, &filter, n).await,
        Op::Replay { filter, n, preview } => dead::replay(&visit, namespace, &filter, n, preview).await,
        Op::Snapshot { to } => snapshot::snapshot(shell, &visit, to).await.map(Done::Copied),
        Op::Histograms => Ok(Done::Histograms(visit.with(|broker, _, _| broker.histograms()))),
        Op::Watched => Ok(Done::Watched(visit.with(|broker, _, now| broker.watched(now)))),
        Op::Status => {
            let connections = shell.connections.get().into();
            Ok(Done::Status(visit.with(|broker, _, now| broker.status(now, connections))))
        }
    }
}

/// What is answered for a namespace in which nobody ever was, so that it does not come to be by being asked for; `None` for
/// what makes it be. Everything is named here: what comes later must say which it is.
fn nothing_there(op: &Op) -> Option<Outcome<Done>> {
    Some(match op {
        Op::Put { .. } | Op::Reserve(_) | Op::Fire { .. } => return None,
        // These are about the plane as a whole.
        Op::Snapshot { .. } | Op::Histograms | Op::Watched | Op::Status => return None,
        Op::Ticks { names } if !names.is_empty() => return None,
        Op::Ticks { .. } => Ok(Done::Ticks(Vec::new())),
        Op::LastTicks => Ok(Done::Crons(Vec::new())),
        Op::Dead { .. } => Ok(Done::Dead(Vec::new())),
        Op::Replay { .. } => Ok(Done::Replayed(Replayed::default())),
        Op::PeekFirst { tube, .. } | Op::List { tube, .. } | Op::Kick { tube, .. } | Op::Pause { tube, .. } => {
            Err(door::no_such_tube(tube.as_str()))
        }
        Op::Settle { lease: Lease { id, .. }, .. }
        | Op::Peek { id }
        | Op::Delete { id }
        | Op::Bury { id }
        | Op::KickJob { id } => Err(door::no_such_job(*id)),
    })
}

fn row<D: Io>(visit: &Visit<D>, id: JobId) -> Option<JobRow> {
    visit.with(|broker, client, now| broker.job_row(client, id, now))
}

fn unexpected(answer: &Answer) -> ApiError {
    match answer {
        Answer::Word(word) => door::unexpected(word),
        other => door::unexpected(&format!("{other:?}")),
    }
}
