//! What an operator sees of a running router's breakers, and may set.

use std::time::Duration;

use crate::capacity::{BreakerState, Figures, Manual};
use crate::handle::Handle;

/// A route's breaker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerView {
    /// The route's name.
    pub route: String,
    /// Where it stands by itself.
    pub state: BreakerState,
    /// What was set by hand; it goes before `state`.
    pub manual: Manual,
    /// For how much longer that holds; `None` when it does not end by itself.
    pub manual_for: Option<Duration>,
    /// How often it opened since it was last closed for good.
    pub openings: u32,
}

/// The limit of a route, or of an upstream's endpoints together, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitView {
    /// The route's name, or the upstream's.
    pub of: String,
    /// How many are under way, wait, and were turned away.
    pub figures: Figures,
}

/// An application's degrade level at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DegradeView {
    /// `app/environment`; empty for routes of no application.
    pub app: String,
    /// The level in force, from 0 to 3.
    pub level: u8,
    /// What was set by hand; it goes before `by_load`.
    pub by_hand: Option<u8>,
    /// What load says.
    pub by_load: u8,
}

impl Handle {
    /// The degrade levels of all applications, by name.
    pub fn degrade_levels(&self) -> Vec<DegradeView> {
        let apps = self.shared.states.apps.all().into_iter();
        let mut views: Vec<DegradeView> = apps
            .map(|(app, state)| {
                let (by_hand, by_load) = state.both();
                DegradeView { app, level: state.level(), by_hand, by_load }
            })
            .collect();
        views.sort_by(|a, b| a.app.cmp(&b.app));
        views
    }

    /// The limits of the routes that have one, or had, by name.
    pub fn limits(&self) -> Vec<LimitView> {
        let routes = self.shared.states.routes.all().into_iter();
        let mut views: Vec<LimitView> = routes
            .filter_map(|(route, state)| Some(LimitView { of: route, figures: state.limiter.get()?.figures() }))
            .collect();
        views.sort_by(|a, b| a.of.cmp(&b.of));
        views
    }

    /// The limits of the upstreams that have one, or had, by name.
    pub fn upstream_limits(&self) -> Vec<LimitView> {
        let upstreams = self.shared.states.upstreams.all().into_iter();
        let mut views: Vec<LimitView> = upstreams
            .filter_map(|(name, state)| Some((name, state.limiter.get()?.figures())))
            .map(|(name, figures)| LimitView { of: name.to_string(), figures })
            .collect();
        views.sort_by(|a, b| a.of.cmp(&b.of));
        views
    }

    /// The breakers of all routes, by name.
    pub fn breakers(&self) -> Vec<BreakerView> {
        let now = self.clock.mono();
        let routes = self.shared.states.routes.all();
        let view = |(route, state): (String, std::sync::Arc<crate::upstream::RouteState>)| {
            let (manual, until) = state.breaker.by_hand().setting(now);
            BreakerView {
                route,
                state: state.breaker.state(now),
                manual,
                manual_for: until.map(|until| until.since(now)),
                openings: state.breaker.openings(),
            }
        };
        let mut views: Vec<BreakerView> = routes.into_iter().map(view).collect();
        views.sort_by(|a, b| a.route.cmp(&b.route));
        views
    }
}
