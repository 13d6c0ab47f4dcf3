//! The router alone: `router.toml`, with static endpoints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::{Config, RoutePolicy};
use crate::routing::{EndpointSource, EndpointSpec, RouteSpec, Routing, UpstreamName, UpstreamSpec};

/// The newest `schema` of `router.toml` that this router reads.
pub const SCHEMA: u32 = 1;

/// `router.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterFile {
    /// The version of the file's format.
    pub schema: u32,
    /// Listeners and limits.
    #[serde(default)]
    pub router: Config,
    /// Sets of endpoints by name.
    pub upstreams: BTreeMap<String, StaticUpstream>,
    /// Which requests go where.
    pub routes: Vec<StaticRoute>,
}

/// One `[upstreams.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticUpstream {
    /// Addresses that answer, such as `10.0.0.5:8000`.
    #[schemars(with = "Vec<String>")]
    pub endpoints: Vec<SocketAddr>,
}

/// One `[[routes]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StaticRoute {
    /// What access records call it; absent: its upstream's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The host, without a port; absent: any.
    #[serde(default)]
    pub host: Option<String>,
    /// The beginning of the path, by whole segments.
    #[serde(default = "root")]
    pub path_prefix: String,
    /// The upstream that answers.
    pub upstream: String,
    /// Times and sizes.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

fn root() -> String {
    "/".into()
}

/// What is wrong with a `router.toml` that could be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It was written for a newer router.
    #[error("schema {0} is newer than this router, which reads up to {SCHEMA}")]
    Newer(u32),
    /// There is no such schema.
    #[error("there is no schema {0}; the newest is {SCHEMA}")]
    NoSuchSchema(u32),
    /// A route names an upstream that the file does not have.
    #[error("routes[{route}].upstream: there is no `[upstreams.{upstream}]`")]
    UnknownUpstream {
        /// Which route, counted from 0.
        route: usize,
        /// What it names.
        upstream: String,
    },
    /// A route's prefix is no path.
    #[error("routes[{route}].path_prefix: `{prefix}` must begin with `/`")]
    Prefix {
        /// Which route, counted from 0.
        route: usize,
        /// What it says.
        prefix: String,
    },
}

impl RouterFile {
    /// The routing that the file describes.
    ///
    /// # Errors
    /// When its schema is unknown or its parts do not fit together.
    pub fn routing(&self) -> Result<Routing, FileError> {
        match self.schema {
            SCHEMA => {}
            0 => return Err(FileError::NoSuchSchema(0)),
            newer => return Err(FileError::Newer(newer)),
        }
        let routes = self.routes.iter().enumerate().map(|(index, route)| self.route(index, route));
        let upstreams = self.upstreams.iter().map(|(name, upstream)| UpstreamSpec {
            name: UpstreamName::new(name),
            endpoints: upstream.endpoints.iter().map(|addr| EndpointSpec::at(*addr)).collect(),
        });
        Ok(Routing { routes: routes.collect::<Result<_, _>>()?, upstreams: upstreams.collect() })
    }

    fn route(&self, index: usize, route: &StaticRoute) -> Result<RouteSpec, FileError> {
        if !self.upstreams.contains_key(&route.upstream) {
            return Err(FileError::UnknownUpstream { route: index, upstream: route.upstream.clone() });
        }
        if !route.path_prefix.starts_with('/') {
            return Err(FileError::Prefix { route: index, prefix: route.path_prefix.clone() });
        }
        Ok(RouteSpec {
            name: route.name.clone().unwrap_or_else(|| route.upstream.clone()),
            host: route.host.clone(),
            path_prefix: route.path_prefix.clone(),
            upstream: UpstreamName::new(&route.upstream),
            scope: None,
            policy: route.policy.clone(),
        })
    }
}

/// A routing that comes from a file, and from the file again when it is read anew.
#[derive(Debug)]
pub struct StaticSource(watch::Sender<Arc<Routing>>);

impl StaticSource {
    /// A source of `routing`.
    pub fn new(routing: Routing) -> StaticSource {
        StaticSource(watch::Sender::new(Arc::new(routing)))
    }

    /// Puts another routing in its place; no request is lost by it.
    pub fn replace(&self, routing: Routing) {
        self.0.send_replace(Arc::new(routing));
    }
}

impl EndpointSource for StaticSource {
    fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        schema = 1

        [router]
        listen = ["127.0.0.1:8080"]

        [upstreams.web]
        endpoints = ["127.0.0.1:9001", "127.0.0.1:9002"]

        [[routes]]
        host = "shop.example"
        path_prefix = "/api"
        upstream = "web"
        deadline_ms = 500
    "#;

    fn read(text: &str) -> Result<Routing, FileError> {
        toml::from_str::<RouterFile>(text).unwrap().routing()
    }

    #[test]
    fn a_file_names_endpoints_and_routes() {
        let routing = read(FILE).unwrap();
        assert_eq!(routing.upstreams[0].endpoints[1], EndpointSpec::at("127.0.0.1:9002".parse().unwrap()));
        let route = &routing.routes[0];
        assert_eq!((route.name.as_str(), route.host.as_deref()), ("web", Some("shop.example")));
        assert_eq!((route.policy.deadline_ms, route.policy.retries_max), (500, 1));
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let error = |from: &str, to: &str| read(&FILE.replace(from, to)).unwrap_err().to_string();
        assert_eq!(error("schema = 1", "schema = 2"), "schema 2 is newer than this router, which reads up to 1");
        assert_eq!(
            error("upstream = \"web\"", "upstream = \"wbe\""),
            "routes[0].upstream: there is no `[upstreams.wbe]`"
        );
        assert_eq!(error("\"/api\"", "\"api\""), "routes[0].path_prefix: `api` must begin with `/`");
    }
}
