//! A plane fails alone: whether it runs is a value that others look at.

use std::sync::Arc;
use std::sync::Mutex;

use crate::wire::PlaneRow;

/// Whether a plane runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaneState {
    /// It does its work.
    Running,
    /// It has no room for more and refuses what needs any; it goes on by itself once there is room.
    Full {
        /// What there is too little of, in a sentence.
        reason: String,
    },
    /// It takes no new work and finishes what it has.
    Draining,
    /// It refuses in its protocol's words; the process lives on.
    Failed {
        /// The first cause, in a sentence.
        reason: String,
    },
    /// It was stopped.
    Stopped,
}

/// The state of one plane, shared by the plane that sets it and all who ask.
#[derive(Clone, Debug)]
pub struct PlaneStatus {
    plane: &'static str,
    state: Arc<Mutex<PlaneState>>,
}

impl PlaneStatus {
    /// A plane that runs.
    pub fn running(plane: &'static str) -> PlaneStatus {
        PlaneStatus { plane, state: Arc::new(Mutex::new(PlaneState::Running)) }
    }

    /// The plane's name.
    pub fn plane(&self) -> &'static str {
        self.plane
    }

    /// What it is now.
    pub fn get(&self) -> PlaneState {
        self.lock().clone()
    }

    /// Whether it has failed.
    pub fn is_failed(&self) -> bool {
        matches!(*self.lock(), PlaneState::Failed { .. })
    }

    /// Marks it failed. The first cause stays: what follows is its echo.
    pub fn fail(&self, reason: impl Into<String>) {
        let mut state = self.lock();
        if !matches!(*state, PlaneState::Failed { .. }) {
            let reason = reason.into();
            tracing::error!(plane = self.plane, reason, "plane failed");
            *state = PlaneState::Failed { reason };
        }
    }

    /// Marks it draining or stopped; a failed plane stays failed.
    pub fn set(&self, next: PlaneState) {
        let mut state = self.lock();
        if !matches!(*state, PlaneState::Failed { .. }) {
            *state = next;
        }
    }

    /// Marks it full; one that drains or has ended stays as it is.
    pub fn fill(&self, reason: impl Into<String>) {
        let mut state = self.lock();
        if matches!(*state, PlaneState::Running | PlaneState::Full { .. }) {
            *state = PlaneState::Full { reason: reason.into() };
        }
    }

    /// Marks a full one running.
    pub fn has_room(&self) {
        let mut state = self.lock();
        if matches!(*state, PlaneState::Full { .. }) {
            *state = PlaneState::Running;
        }
    }

    /// The row that listings show.
    pub fn row(&self) -> PlaneRow {
        let (state, reason) = match self.get() {
            PlaneState::Running => ("running", None),
            PlaneState::Full { reason } => ("full", Some(reason)),
            PlaneState::Draining => ("draining", None),
            PlaneState::Failed { reason } => ("failed", Some(reason)),
            PlaneState::Stopped => ("stopped", None),
        };
        PlaneRow { plane: self.plane.into(), state: state.into(), reason }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PlaneState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_of_a_failure_stays() {
        let status = PlaneStatus::running("queue");
        status.fail("the disk is gone");
        status.fail("a consequence");
        status.set(PlaneState::Stopped);
        assert_eq!(status.row().reason.as_deref(), Some("the disk is gone"));
        assert_eq!(status.row().state, "failed");
    }

    #[test]
    fn a_full_plane_runs_again_and_hides_nothing_worse() {
        let status = PlaneStatus::running("logs");
        status.fill("the disk is full");
        assert_eq!(status.row().state, "full");
        assert_eq!(status.row().reason.as_deref(), Some("the disk is full"));
        status.has_room();
        assert_eq!(status.get(), PlaneState::Running);
        for end in [PlaneState::Draining, PlaneState::Stopped] {
            status.set(end.clone());
            status.fill("the disk is full");
            status.has_room();
            assert_eq!(status.get(), end);
        }
    }
}
