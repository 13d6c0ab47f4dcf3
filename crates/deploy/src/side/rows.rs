//! What `forebay ps` shows of a side.

use control::wire::InstanceRow;
use health::Health;

use super::Side;
use super::fleet::{Crashed, Fleet, Phase, Run, Seat};
use crate::prober::Check;
use crate::rollout::Place;

impl Side {
    /// All instances, those that wait for their restart too.
    pub(super) fn rows(&self) -> Vec<InstanceRow> {
        let mut rows: Vec<InstanceRow> = self.runs.values().map(|run| self.row(run)).collect();
        if let Some(fleet) = &self.serving {
            rows.extend(fleet.seats.iter().filter_map(|(place, seat)| self.waiting_row(fleet, place, seat)));
        }
        rows.sort_by(|a, b| (&a.process, a.started_ns).cmp(&(&b.process, b.started_ns)));
        rows
    }

    fn row(&self, run: &Run) -> InstanceRow {
        let verdict = self.node.health.get(&run.id.serial);
        let now = self.node.clock.mono();
        // Once it has been told to stop, nobody means to check it.
        let unchecked = run.prober.is_some() && verdict.as_ref().is_some_and(|verdict| verdict.is_unchecked(now));
        InstanceRow {
            app: self.scope.app.clone(),
            environment: self.scope.env.clone(),
            process: run.id.process.clone(),
            instance: run.id.to_string(),
            pid: run.ticket.as_ref().map_or(0, |ticket| ticket.child_pid),
            port: run.port.unwrap_or(0),
            release: run.blueprint.release,
            state: phase_word(run.phase).into(),
            health: health_word(run).into(),
            checked_s_ago: verdict.map(|verdict| verdict.age(now).as_secs()),
            unchecked,
            restarts: run.restarts,
            started_ns: run.started.0,
            isolation: run.ticket.as_ref().map_or_else(|| "none".into(), |ticket| ticket.isolation.to_string()),
            reason: run.reason.clone(),
        }
    }

    /// The row of a place whose instance has crashed.
    fn waiting_row(&self, fleet: &Fleet, place: &Place, seat: &Seat) -> Option<InstanceRow> {
        let Crashed { id, started, reason } = seat.crashed.as_ref().filter(|_| seat.run.is_none())?;
        let looping = seat.crashes.is_loop(self.node.clock.mono(), &self.node.patience());
        Some(InstanceRow {
            app: self.scope.app.clone(),
            environment: self.scope.env.clone(),
            process: place.process.clone(),
            instance: id.to_string(),
            pid: 0,
            port: 0,
            release: fleet.blueprint.release,
            state: if looping { "crash-loop" } else { "backoff" }.into(),
            health: "unknown".into(),
            checked_s_ago: None,
            unchecked: false,
            restarts: seat.crashes.total(),
            started_ns: started.0,
            isolation: "none".into(),
            reason: Some(reason.clone()),
        })
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
    }
}

fn health_word(run: &Run) -> &'static str {
    match (super::life::check_of(run), run.health) {
        (Check::Settled, _) => "none",
        (_, Health::Healthy) => "healthy",
        (_, Health::Unhealthy) => "unhealthy",
        (_, Health::Unknown) => "unknown",
    }
}
