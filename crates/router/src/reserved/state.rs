//! From endpoints and dependencies to one word. Pure.

use http::StatusCode;
use serde::Serialize;

use health::Health;

/// How an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// All that is meant to serve can.
    Up,
    /// It serves, and something is wrong: an endpoint, a dependency, or the checking.
    Degraded,
    /// All its endpoints look dead, or it has none.
    Down,
    /// No endpoint has been judged yet.
    Unknown,
}

/// One endpoint that is not on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) health: Health,
    /// Nobody has checked it for three intervals.
    pub(super) unchecked: bool,
}

impl State {
    /// A dependency that is down degrades and never takes down: the application knows best what it can do without it.
    pub(super) fn of(endpoints: &[Seen], dependencies_well: bool) -> State {
        let count = |health| endpoints.iter().filter(|one| one.health == health).count();
        match (count(Health::Healthy), count(Health::Unhealthy), count(Health::Unknown)) {
            (0, 0, 1..) => State::Unknown,
            (0, _, _) => State::Down,
            (_, 0, 0) if dependencies_well && !endpoints.iter().any(|one| one.unchecked) => State::Up,
            _ => State::Degraded,
        }
    }

    /// 200 while it serves.
    pub(super) fn status(self) -> StatusCode {
        match self {
            State::Up | State::Degraded => StatusCode::OK,
            State::Down | State::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Seen = Seen { health: Health::Healthy, unchecked: false };
    const DEAD: Seen = Seen { health: Health::Unhealthy, unchecked: false };
    const NEW: Seen = Seen { health: Health::Unknown, unchecked: false };

    #[test]
    fn one_word_for_all() {
        assert_eq!(State::of(&[UP, UP], true), State::Up);
        assert_eq!(State::of(&[UP, DEAD], true), State::Degraded);
        assert_eq!(State::of(&[UP, NEW], true), State::Degraded);
        assert_eq!(State::of(&[UP, Seen { unchecked: true, ..UP }], true), State::Degraded);
        assert_eq!(State::of(&[UP], false), State::Degraded);
        assert_eq!(State::of(&[DEAD, NEW], true), State::Down);
        assert_eq!(State::of(&[], true), State::Down);
        assert_eq!(State::of(&[NEW, NEW], true), State::Unknown);
    }

    #[test]
    fn a_dependency_alone_never_makes_it_503() {
        assert_eq!(State::of(&[UP], false).status(), StatusCode::OK);
        assert_eq!(State::of(&[DEAD], true).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
