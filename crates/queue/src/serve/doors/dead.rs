//! Dead jobs: listed, and brought back.

use stdx::io::Io;

use super::super::visit::Visit;
use super::Outcome;
use crate::door::{DeadFilter, Done};
use crate::names::Namespace;

pub(super) async fn dead<D: Io>(
    visit: &Visit<D>,
    namespace: &Namespace,
    filter: &DeadFilter,
    n: usize,
) -> Outcome<Done> {
    let dead = visit.with(|broker, client, _| {
        broker.await_state(client);
        broker.dead_jobs(namespace, filter, n)
    });
    visit.answer().await?;
    Ok(Done::Dead(dead))
}

pub(super) async fn replay<D: Io>(
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
