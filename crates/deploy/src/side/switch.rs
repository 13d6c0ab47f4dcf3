//! The moment in which traffic moves: first on disk, then in one published table; then what served before drains.

use std::net::SocketAddr;
use std::sync::Arc;

use state::instances::Desired;

use super::Side;
use super::change::Goal;
use super::fleet::{Fleet, Phase, Run};
use crate::rollout::{Failure, Old, Serial};
use crate::run::News;
use crate::seams::{Endpoint, ScopeTable};
use health::Health;

impl Side {
    /// Makes the new places serve, and names the instances that served before. On disk first: a node that dies in
    /// between finds both, and goes on with the new ones.
    pub(super) async fn switch(&mut self) -> Result<Vec<Old>, Failure> {
        let Some(change) = &mut self.change else { return Ok(Vec::new()) };
        let (store, scope) = (&self.node.store, self.scope.clone());
        let written = match &change.goal {
            Goal::Release(_) => store.release_activate(scope, change.fleet.blueprint.release).await,
            Goal::Scale { counts, .. } => store.scale_put(scope, counts.clone()).await,
        };
        written.map_err(|e| Failure { code: e.code(), rule: e.to_string(), place: None })?;
        let emptied = Fleet::new(change.fleet.blueprint.clone());
        let new = std::mem::replace(&mut change.fleet, emptied);
        let leaving = match &change.goal {
            Goal::Release(_) => self.serving.replace(new).map(|old| old.seats).unwrap_or_default(),
            Goal::Scale { removed, .. } => {
                let Some(serving) = &mut self.serving else { return Ok(Vec::new()) };
                serving.seats.extend(new.seats);
                removed.iter().filter_map(|place| serving.seats.remove_entry(place)).collect()
            }
        };
        let serials: Vec<Serial> = leaving.values().filter_map(|seat| seat.run).collect();
        let old = self.begin_to_leave(&serials).await;
        self.publish();
        self.watch_dependencies().await;
        Ok(old)
    }

    /// Checks what the serving release depends on.
    pub(super) async fn watch_dependencies(&self) {
        if let Some(fleet) = &self.serving {
            self.node.dependencies.set(&self.node, &self.scope, &fleet.blueprint).await;
        }
    }

    async fn begin_to_leave(&mut self, serials: &[Serial]) -> Vec<Old> {
        let mut old = Vec::new();
        for serial in serials {
            let Some(run) = self.runs.get_mut(serial) else { continue };
            if !run.is_leaving() {
                run.phase = Phase::Draining;
            }
            run.prober = None;
            old.push(Old { serial: *serial, routed: run.is_routed() });
            self.desire_stop(*serial).await;
        }
        old
    }

    /// A node that dies now must go on stopping it. Where that cannot be written, the next start stops it all the same:
    /// it is of no serving place.
    pub(super) async fn desire_stop(&self, serial: Serial) {
        if let Err(error) = self.node.store.instance_desire(serial, Desired::Stop).await {
            tracing::warn!(scope = %self.scope, serial, %error, "that an instance is to stop is not written");
        }
    }

    /// Waits, in a task, until the new table holds everywhere and nothing is in flight to the old instances.
    pub(super) fn drain(&mut self, old: &[Serial]) {
        let Some(change) = &self.change else { return };
        let number = change.number;
        let addrs: Vec<SocketAddr> = old.iter().filter_map(|serial| self.runs.get(serial)?.addr()).collect();
        let (traffic, limit) = (self.node.publisher.traffic(), self.node.drain_limit());
        let (news, scope) = (self.news.clone(), self.scope.clone());
        self.tasks.spawn(async move {
            traffic.applied().await;
            if !traffic.drained(addrs, limit).await {
                tracing::warn!(%scope, limit_ms = limit.as_millis(), "requests are still in flight to instances that now stop");
            }
            // A side that has gone has nothing left to stop.
            news.send(News::Drained(number)).await.ok();
        });
    }

    /// Publishes the endpoints as they are now. Nothing is published before a release serves: an empty part would take
    /// away what the router may know better.
    pub(super) fn publish(&self) {
        let Some(fleet) = &self.serving else { return };
        let endpoints = self.runs.values().filter(|run| run.is_routed()).filter_map(|run| {
            let serves = fleet.has(run.id.serial);
            (serves || run.phase == Phase::Draining).then(|| endpoint(run, serves))?
        });
        let part = ScopeTable {
            release: fleet.blueprint.release,
            resolved: Arc::clone(&fleet.blueprint.resolved),
            endpoints: endpoints.collect(),
        };
        self.node.publisher.put(&self.scope, part);
    }
}

fn endpoint(run: &Run, serves: bool) -> Option<Endpoint> {
    Some(Endpoint {
        process: run.id.process.clone(),
        instance: run.id.clone(),
        release: run.blueprint.release,
        addr: run.addr()?,
        health: if run.phase == Phase::Starting { Health::Unknown } else { run.health },
        draining: !serves || run.is_leaving(),
    })
}
