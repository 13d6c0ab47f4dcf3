//! What deploy's probers have found, for those who ask the router how an application is.

use std::sync::{Arc, OnceLock};

use health::Verdict;
use router::{Dependency, EndpointSpec, HealthSource, UpstreamName};
use stdx::ids::Scope;

/// The way from deploy's verdicts to the router. Made before the router is started, connected to deploy after.
#[derive(Clone, Default)]
pub(crate) struct Verdicts(Arc<OnceLock<deploy::Handle>>);

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Verdicts").field(&self.0.get().is_some()).finish()
    }
}

impl Verdicts {
    /// Joins both ends.
    pub(crate) fn connect(&self, deploy: deploy::Handle) {
        assert!(self.0.set(deploy).is_ok(), "deploy is connected once");
    }
}

impl HealthSource for Verdicts {
    fn verdict(&self, _: &UpstreamName, endpoint: &EndpointSpec) -> Option<Verdict> {
        let (_, serial) = endpoint.instance.as_ref()?.rsplit_once('.')?;
        self.0.get()?.verdict(serial.parse().ok()?)
    }

    fn dependencies(&self, scope: &Scope) -> Vec<Dependency> {
        let states = self.0.get().map(|deploy| deploy.dependencies(Some(scope))).unwrap_or_default();
        let dependency = |state: deploy::DependencyState| Dependency {
            name: state.name,
            health: state.health,
            reason: state.reason,
            age: state.age,
            unchecked: state.unchecked,
        };
        states.into_iter().map(dependency).collect()
    }
}
