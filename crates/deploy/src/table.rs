//! The endpoint table: each application's side writes its own part, every change is published whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use stdx::ids::Scope;

use crate::seams::{EndpointTable, ScopeTable, Traffic};

/// The table that is published, shared by all sides.
#[derive(Clone)]
pub(crate) struct Publisher {
    scopes: Arc<Mutex<BTreeMap<Scope, ScopeTable>>>,
    traffic: Arc<dyn Traffic>,
}

impl Publisher {
    pub(crate) fn new(traffic: Arc<dyn Traffic>) -> Publisher {
        Publisher { scopes: Arc::default(), traffic }
    }

    pub(crate) fn traffic(&self) -> Arc<dyn Traffic> {
        self.traffic.clone()
    }

    /// Replaces one application's part and publishes the whole, unless nothing has changed. The lock is held over the
    /// publication, so that two sides cannot publish in the wrong order.
    pub(crate) fn put(&self, scope: &Scope, part: ScopeTable) {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if scopes.get(scope) == Some(&part) {
            return;
        }
        scopes.insert(scope.clone(), part);
        self.traffic.publish(Arc::new(EndpointTable { scopes: scopes.clone() }));
    }
}
