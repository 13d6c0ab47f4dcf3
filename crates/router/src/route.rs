//! Whose request it is: the host first, then the longest path prefix by whole segments. Pure.

use std::rc::Rc;

use crate::snapshot::{Route, View};

/// A route together with the snapshot that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    snapshot: Rc<View>,
    index: usize,
}

impl Routed {
    /// Finds the route of a request in `snapshot`; `None` is 404. `host` is in lower case and without its port. The path
    /// is taken as it was written: what an endpoint would decode or resolve in it is the endpoint's affair.
    pub(crate) fn find(snapshot: &Rc<View>, host: &str, path: &str) -> Option<Routed> {
        let takes = |index: &&usize| takes(&snapshot.routes[**index].prefix, path);
        let of_host = snapshot.by_host.get(host).and_then(|routes| routes.iter().find(takes));
        let index = of_host.or_else(|| snapshot.any_host.iter().find(takes))?;
        Some(Routed { snapshot: Rc::clone(snapshot), index: *index })
    }

    /// Whether it was found in this very snapshot.
    pub(crate) fn is_of(&self, snapshot: &Rc<View>) -> bool {
        Rc::ptr_eq(&self.snapshot, snapshot)
    }
}

impl std::ops::Deref for Routed {
    type Target = Route;
    fn deref(&self) -> &Route {
        &self.snapshot.routes[self.index]
    }
}

/// Whether `prefix` (without a trailing slash) takes `path`: `/shop` takes `/shop` and `/shop/cart`, not `/shopping`.
fn takes(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
}
