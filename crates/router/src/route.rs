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
        let takes = |index: &&usize| {
            let route = &snapshot.routes[**index];
            takes(&route.prefix, path) && route.is_there()
        };
        let of_host = snapshot.by_host.get(host).and_then(|routes| routes.iter().find(takes));
        let index = of_host.or_else(|| snapshot.any_host.iter().find(takes))?;
        Some(Routed { snapshot: Rc::clone(snapshot), index: *index })
    }

    /// The way to the upstream that the route falls back to.
    pub(crate) fn fallback(&self) -> Option<Routed> {
        Some(Routed { snapshot: Rc::clone(&self.snapshot), index: self.fallback? })
    }

    /// The way to the upstream that takes the route's writes.
    pub(crate) fn primary(&self) -> Option<Routed> {
        Some(Routed { snapshot: Rc::clone(&self.snapshot), index: self.primary? })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, RoutePolicy};
    use crate::endpoint::Endpoint;
    use crate::routing::{RouteSpec, Routing, UpstreamName};
    use crate::snapshot::Snapshot;
    use crate::upstream::States;
    use proptest::prelude::{any, prop, prop_assert, proptest};
    use std::sync::Arc;
    use stdx::clock::Mono;

    fn view(routes: &[(Option<&str>, &str)]) -> Rc<View> {
        let routes = routes
            .iter()
            .enumerate()
            .map(|(index, (host, prefix))| RouteSpec {
                name: index.to_string(),
                host: host.map(Into::into),
                path_prefix: (*prefix).into(),
                upstream: UpstreamName::new("web"),
                scope: None,
                fallback: None,
                primary: None,
                policy: RoutePolicy::default(),
            })
            .collect();
        let routing = Arc::new(Routing { routes, upstreams: Vec::new() });
        let endpoint = |key| Arc::new(Endpoint::new(key, Mono(0)));
        Rc::new(View(Arc::new(Snapshot::compile(routing, 1, &Config::default(), &States::default(), endpoint))))
    }

    fn found(view: &Rc<View>, host: &str, path: &str) -> Option<String> {
        Routed::find(view, host, path).map(|routed| routed.facts.name.clone())
    }

    #[test]
    fn a_prefix_takes_whole_segments() {
        let view = view(&[(None, "/shop")]);
        for (path, takes) in
            [("/shop", true), ("/shop/", true), ("/shop/cart", true), ("/shopping", false), ("/", false)]
        {
            assert_eq!(found(&view, "a", path).is_some(), takes, "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_of_the_host_wins_and_any_host_comes_last() {
        let view = view(&[(None, "/"), (Some("A.example"), "/x"), (Some("a.example"), "/x/y/"), (None, "/x/y/z")]);
        assert_eq!(found(&view, "a.example", "/x/y/z").as_deref(), Some("2"));
        assert_eq!(found(&view, "a.example", "/x/q").as_deref(), Some("1"));
        assert_eq!(found(&view, "a.example", "/q").as_deref(), Some("0"));
        assert_eq!(found(&view, "b.example", "/x/y/z").as_deref(), Some("3"));
    }

    #[test]
    fn of_two_equal_routes_the_first_counts() {
        assert_eq!(found(&view(&[(None, "/a"), (None, "/a/")]), "h", "/a").as_deref(), Some("0"));
    }

    #[test]
    fn the_asterisk_belongs_to_the_root() {
        assert_eq!(found(&view(&[(None, "/a"), (None, "/")]), "h", "*").as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn the_route_found_is_the_longest_that_takes_the_path(
            prefixes in prop::collection::vec("(/[ab]{1,2}){0,3}/?", 1..8),
            path in "(/[ab]{1,2}){1,4}",
            hosted in any::<u8>(),
        ) {
            let routes: Vec<(Option<&str>, &str)> = prefixes
                .iter()
                .enumerate()
                .map(|(index, prefix)| ((hosted >> (index % 8) & 1 == 1).then_some("h"), prefix.as_str()))
                .collect();
            let takes = |prefix: &str| {
                let prefix = prefix.trim_end_matches('/');
                prefix.is_empty() || path == prefix || path.starts_with(&format!("{prefix}/"))
            };
            let best = |host: Option<&str>| {
                let all = routes.iter().filter(|(of, prefix)| *of == host && takes(prefix));
                all.map(|(_, prefix)| prefix.trim_end_matches('/').len()).max()
            };
            let view = view(&routes);
            let length = Routed::find(&view, "h", &path).map(|routed| routed.prefix.len());
            prop_assert!(length == best(Some("h")).or_else(|| best(None)));
        }
    }
}
