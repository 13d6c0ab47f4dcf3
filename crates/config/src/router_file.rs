//! `router.toml`, schema 1: a router alone, with upstreams that are listed by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use net::dns::Name;
use net::reach::ProxyVersion;
use net::tls::ConnectConfig;
use router::config::{CheckConfig, DnsConfig, RoutePolicy, UpstreamPolicy};
use router::standalone::Origin;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Finding;
use crate::error::{ConfigError, FileKind};
use crate::key_path::KeyPath;
use crate::source::Source;
use crate::suggest::nearest;
use crate::{file, load, pages, rules, tls, treatment, users};

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
    /// How names of upstreams are looked up.
    #[serde(default)]
    pub dns: DnsConfig,
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
    /// Addresses of the servers, literal; this, `dns` or `srv`.
    #[serde(default)]
    #[schemars(with = "Vec<EndpointAddr>", length(max = 1_024))]
    pub endpoints: Vec<SocketAddr>,
    /// A host whose A and AAAA records are the servers, with their port: `web.internal:8080`.
    #[serde(default)]
    #[schemars(extend("format" = "host-port"))]
    pub dns: Option<String>,
    /// A service whose SRV records are the servers: `_http._tcp.web.internal`. Their priorities and weights are honoured.
    #[serde(default)]
    #[schemars(extend("format" = "service-name"))]
    pub srv: Option<String>,
    /// How the servers are checked. Absent: not at all; what requests see is all that is known.
    #[serde(default)]
    pub health: Option<CheckConfig>,
    /// TLS with the servers. Absent: none.
    #[serde(default)]
    pub tls: Option<ConnectConfig>,
    /// The version of the PROXY protocol header that each connection begins with, which names the client. Requests of
    /// different clients then never share a connection. Absent: none.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyVersion>,
    /// What holds for all of them.
    #[serde(flatten)]
    pub policy: UpstreamPolicy,
}

/// An endpoint's address in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "socket-address"))]
#[expect(dead_code, reason = "only its schema is used")]
struct EndpointAddr(String);

impl Upstream {
    /// Its TLS as a connection needs it: of a host that is looked up, the certificate is for the host.
    pub fn tls(&self) -> Option<ConnectConfig> {
        let mut tls = self.tls.clone()?;
        if tls.server_name.is_none() {
            tls.server_name = self.dns.as_ref().and_then(|dns| dns.rsplit_once(':')).map(|(host, _)| host.into());
        }
        Some(tls)
    }

    /// Where its endpoints come from; `None` for a file that was not checked.
    pub fn origin(&self) -> Option<Origin> {
        match (&self.dns, &self.srv) {
            (None, None) => Some(Origin::Fixed(self.endpoints.clone())),
            (Some(host), None) => {
                let (name, port) = host.rsplit_once(':')?;
                Some(Origin::Host(name.parse().ok()?, port.parse().ok()?))
            }
            (None, Some(service)) => Some(Origin::Service(service.parse::<Name>().ok()?)),
            (Some(_), Some(_)) => None,
        }
    }
}

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
        tls::within(folder, &mut file.router.tls);
        file.upstreams
            .values_mut()
            .filter_map(|one| one.tls.as_mut())
            .for_each(|one| tls::upstream_within(folder, one));
        pages::read(FileKind::Router, &name, folder, file.routes.iter_mut().map(|route| &mut route.policy))?;
        users::read(FileKind::Router, &name, folder, file.routes.iter_mut().map(|route| &mut route.policy))?;
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
    tls::rules(&file.router.tls, &mut findings);
    let mut seen = BTreeMap::new();
    for (n, route) in file.routes.iter().enumerate() {
        let at = KeyPath::root().key("routes").index(n);
        let instead = route.policy.fallback.as_ref().and_then(|fallback| fallback.upstream.as_ref());
        let primary = route.policy.read_your_writes.as_ref().map(|own| &own.primary);
        let named = [
            (at.key("upstream"), Some(&route.upstream)),
            (at.key("fallback").key("upstream"), instead),
            (at.key("read_your_writes").key("primary"), primary),
        ];
        for (at, name) in named.into_iter().filter_map(|(at, name)| Some((at, name?))) {
            findings.extend(unknown_upstream(file, at, name));
        }
        pages::rules(&at, &route.policy, &mut findings);
        treatment::rules(&at, &route.policy, &mut findings);
        users::rules(&at, &route.policy, false, &mut findings);
        if let Some(first) = seen.insert(rules::route_key(route.host.as_deref(), &route.path_prefix, &route.policy), n)
        {
            findings.push(Finding::invalid(at.clone(), format!("the route is the same as routes[{first}]")));
        }
    }
    for (name, upstream) in &file.upstreams {
        let at = KeyPath::root().key("upstreams").key(name);
        let origins = usize::from(!upstream.endpoints.is_empty())
            + usize::from(upstream.dns.is_some())
            + usize::from(upstream.srv.is_some());
        if origins != 1 {
            let message = format!("`{name}` needs one of `endpoints`, `dns` and `srv`, and has {origins}");
            let hint = "write endpoints = [\"127.0.0.1:9000\"], dns = \"web.internal:9000\" or srv = \"_http._tcp.web.internal\"";
            findings.push(Finding::invalid(at.clone(), message).on_key().hint(hint));
        }
        tls::of_upstream(&at, upstream, &mut findings);
        let at = at.key("endpoints");
        for (n, addr) in upstream.endpoints.iter().enumerate() {
            if upstream.endpoints[..n].contains(addr) {
                findings.push(Finding::invalid(at.index(n), format!("{addr} is there twice")));
            }
        }
    }
    findings
}
