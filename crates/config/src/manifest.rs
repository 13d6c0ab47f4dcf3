//! `forebay.toml`, schema 1: what an application is made of.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules;
use deploy::DependencyConfig;
use deploy::config::ProcessConfig;
use queue::config::TubeConfig;
use queue::cron::CronConfig;
use queue::push::PushConfig;
use router::config::{RouteConfig, UpstreamPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stdx::ids::{AppName, ProcessName};

/// What an application is made of: `forebay.toml` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "forebay.toml")]
pub struct Manifest {
    /// The version of the format; this one is 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// The application's name, unique on a node.
    #[schemars(with = "String", extend("format" = "app-name"))]
    pub app: AppName,
    /// Who answers for the application: a mail address or the name of a team.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub owner: Option<String>,
    /// Environment variables of all processes. Names that begin with FOREBAY_, and PORT, are Forebay's own.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "variable-name"}, "maxProperties" = 256))]
    pub env: BTreeMap<String, String>,
    /// Secrets that must be set before a deploy (`forebay secrets set APP KEY`); each is a file in FOREBAY_SECRETS.
    #[serde(default)]
    #[schemars(with = "BTreeSet<SecretName>", extend("maxItems" = 64))]
    pub secrets: BTreeSet<String>,
    /// The processes by name; at least one.
    #[schemars(with = "BTreeMap<String, ProcessConfig>")]
    #[schemars(extend("propertyNames" = {"format": "process-name"}, "maxProperties" = 32))]
    pub processes: BTreeMap<ProcessName, ProcessConfig>,
    /// Which requests go to which process; the longest prefix wins, a route with a host before one without.
    #[serde(default)]
    #[schemars(extend("maxItems" = 64))]
    pub routes: Vec<RouteConfig>,
    /// What holds for all instances of a process that a route names, as the router sees them.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, UpstreamPolicy>")]
    #[schemars(extend("propertyNames" = {"format": "process-name"}, "maxProperties" = 32))]
    pub upstreams: BTreeMap<ProcessName, UpstreamPolicy>,
    /// What the application depends on outside, by name; checked once per node and shown beside its health.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "process-name"}, "maxProperties" = 32))]
    pub dependencies: BTreeMap<String, DependencyConfig>,
    /// Limits and retry policy of the application's tubes; a tube that is not named has the node's defaults.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "tube-name"}, "maxProperties" = 256))]
    pub queues: BTreeMap<String, TubeConfig>,
    /// Tubes of the application that are delivered as HTTP, by name: each job a POST whose answer decides.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "tube-name"}, "maxProperties" = 256))]
    pub push: BTreeMap<String, PushConfig>,
    /// Jobs that are put into tubes of the application again and again, by name: one for each tick.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "tube-name"}, "maxProperties" = 256))]
    pub cron: BTreeMap<String, CronConfig>,
}

/// The name of a secret in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "secret-name"))]
#[expect(dead_code, reason = "only its schema is used")]
struct SecretName(String);

impl Manifest {
    /// The processes that a route names. One of these without `health` is checked by a TCP connect to its port.
    pub fn routed(&self) -> BTreeSet<ProcessName> {
        self.routes.iter().flat_map(rules::asked).collect()
    }
}
