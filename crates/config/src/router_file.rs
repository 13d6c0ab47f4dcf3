//! `router.toml`, schema 1: a router alone, with upstreams that are listed by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use router::config::{RoutePolicy, UpstreamPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Finding;
use crate::error::{ConfigError, FileKind};
use crate::key_path::KeyPath;
use crate::source::Source;
use crate::suggest::nearest;
use crate::{file, load, pages, rules};

/// What `forebay router serve --config` reads: `router.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "router.toml")]
pub struct RouterFile {
    /// The version of the format; this one is 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// The router's settings and limits.
    #[serde(default)]
    pub router: router::config::Config,
    /// The upstreams by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "process-name"}, "maxProperties" = 1_024))]
    pub upstreams: BTreeMap<String, Upstream>,
    /// Which requests go to which upstream; the longest prefix wins, a route with a host before one without.
    #[schemars(extend("maxItems" = 10_000))]
    pub routes: Vec<FileRoute>,
}

/// One `[upstreams.NAME]` of `router.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false))]
pub struct Upstream {
    /// Addresses of the servers, literal; at least one.
    #[schemars(with = "Vec<EndpointAddr>", length(min = 1, max = 1_024))]
    pub endpoints: Vec<SocketAddr>,
    /// What holds for all of them.
    #[serde(flatten)]
    pub policy: UpstreamPolicy,
}

/// An endpoint's address in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "socket-address"))]
#[expect(dead_code, reason = "only its schema is used")]
struct EndpointAddr(String);

/// One `[[routes]]` of `router.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("unevaluatedProperties" = false))]
pub struct FileRoute {
    /// The host that the route is for, without a port; absent: any host.
    #[serde(default)]
    #[schemars(extend("format" = "host-name"))]
    pub host: Option<String>,
    /// The beginning of the path, by whole segments: `/shop` takes `/shop` and `/shop/cart`, not `/shopping`.
    #[serde(default = "root_path")]
    #[schemars(extend("format" = "url-path"))]
    pub path_prefix: String,
    /// The upstream that answers.
    pub upstream: String,
    /// Times and sizes.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

fn root_path() -> String {
    "/".into()
}

impl RouterFile {
    /// Reads a `router.toml`. Addresses to listen on may be left to the caller's flags: `router.listen` may be empty.
    ///
    /// # Errors
    /// When the file cannot be read, or with all that is wrong in it.
    pub fn load(path: &Path) -> Result<RouterFile, ConfigError> {
        let name = path.display().to_string();
        let text = load::read_bounded(path).map_err(|e| load::unreadable(FileKind::Router, &name, &e))?;
        let mut file = RouterFile::parse(&name, &text)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        pages::read(FileKind::Router, &name, folder, file.routes.iter_mut().map(|route| &mut route.policy))?;
        Ok(file)
    }

    /// Reads the text of a `router.toml` that the user knows by `name`.
    ///
    /// # Errors
    /// All that is wrong in it, at most 20 problems and the number of the others.
    pub fn parse(name: &str, text: &str) -> Result<RouterFile, ConfigError> {
        let (file, document) = file::read::<RouterFile>(FileKind::Router, Source { name, text })?;
        document.problems(rules_of(&file))?;
        Ok(file)
    }
}

fn unknown_upstream(file: &RouterFile, at: KeyPath, name: &str) -> Option<Finding> {
    if file.upstreams.contains_key(name) {
        return None;
    }
    let hint = nearest(name, file.upstreams.keys().map(String::as_str)).map_or_else(
        || format!("add [upstreams.{name}] with endpoints = [\"127.0.0.1:9000\"]"),
        |near| format!("did you mean `{near}`?"),
    );
    Some(Finding::invalid(at, format!("there is no upstream `{name}`")).hint(hint))
}

fn rules_of(file: &RouterFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeMap::new();
    for (n, route) in file.routes.iter().enumerate() {
        let at = KeyPath::root().key("routes").index(n);
        let instead = route.policy.fallback.as_ref().and_then(|fallback| fallback.upstream.as_ref());
        let named = [(at.key("upstream"), Some(&route.upstream)), (at.key("fallback").key("upstream"), instead)];
        for (at, name) in named.into_iter().filter_map(|(at, name)| Some((at, name?))) {
            findings.extend(unknown_upstream(file, at, name));
        }
        pages::rules(&at, &route.policy, &mut findings);
        if let Some(first) = seen.insert(rules::route_key(route.host.as_deref(), &route.path_prefix, &route.policy), n)
        {
            findings.push(Finding::invalid(at.clone(), format!("the route is the same as routes[{first}]")));
        }
    }
    for (name, upstream) in &file.upstreams {
        let at = KeyPath::root().key("upstreams").key(name).key("endpoints");
        for (n, addr) in upstream.endpoints.iter().enumerate() {
            if upstream.endpoints[..n].contains(addr) {
                findings.push(Finding::invalid(at.index(n), format!("{addr} is there twice")));
            }
        }
    }
    findings
}
