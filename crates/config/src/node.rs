//! `node.toml`, schema 1, merged with the environment and the flags into what a node runs with.
//!
//! `NodeConfig::resolve` is a pure function of its inputs; only `NodeConfig::load` reads the file.

mod origin;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use net::listen::ListenAddr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Document, Finding};
use crate::error::{Code, ConfigError, FileKind, Place, Problem};
use crate::key_path::KeyPath;
use crate::memory::{self, Budget};
use crate::source::Source;
use crate::{file, load, suggest, tls, work};

pub use origin::{Origin, Origins};

/// What the file of a node may say: `node.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "node.toml")]
pub struct NodeFile {
    /// The version of the format; this one is 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// The folder of everything that the node keeps. Absent: /var/lib/forebay as root, else $XDG_STATE_HOME/forebay.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// The file of the key for secrets, outside `data`. Absent: /etc/forebay/key as root, else $XDG_CONFIG_HOME/forebay/key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Bytes of memory that all budgets together may come to; a node whose limits add up to more does not start.
    #[serde(default = "memory_bytes_max")]
    pub memory_bytes_max: u64,
    /// The router.
    #[serde(default)]
    pub router: router::config::Config,
    /// The queue.
    #[serde(default)]
    pub queue: queue::config::Config,
    /// The log plane.
    #[serde(default)]
    pub logs: logs::config::Config,
    /// The deploy plane.
    #[serde(default)]
    pub deploy: deploy::config::Config,
    /// The admin API on TCP.
    #[serde(default)]
    pub admin: AdminConfig,
}

/// The admin API on TCP; on its unix socket it is always there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Addresses to serve the admin API on, with a token. Absent: 127.0.0.1:7070; an empty list: only the unix socket.
    pub listen: Vec<ListenAddr>,
}

fn memory_bytes_max() -> u64 {
    memory::BYTES_MAX
}

impl Default for NodeFile {
    /// What an empty file means.
    fn default() -> NodeFile {
        NodeFile {
            schema: FileKind::Node.schema(),
            data: None,
            key_file: None,
            memory_bytes_max: memory_bytes_max(),
            router: Default::default(),
            queue: Default::default(),
            logs: Default::default(),
            deploy: Default::default(),
            admin: Default::default(),
        }
    }
}

/// The flags of a node's verbs, as they were given. Lists of addresses are separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the file, which then must be there.
    pub config: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--http`.
    pub http: Option<String>,
    /// `--https`.
    pub https: Option<String>,
    /// `--queue`.
    pub queue: Option<String>,
    /// `--admin`.
    pub admin: Option<String>,
}

/// All that decides how a node runs.
#[derive(Clone, Debug, Default)]
pub struct Inputs<'t> {
    /// Name and text of `node.toml`, when there is one.
    pub file: Option<(&'t str, &'t str)>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The flags.
    pub flags: Flags,
    /// Whether the node runs as root.
    pub root: bool,
    /// The folder that relative paths of flags and variables start from; without one they must be absolute.
    pub working_folder: Option<PathBuf>,
}

/// What a node runs with: defaults, then `node.toml`, then `FOREBAY_*`, then flags.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// The folder of everything that the node keeps.
    pub data: PathBuf,
    /// The file of the key for secrets.
    pub key_file: PathBuf,
    /// The memory budgets and what they add up to.
    pub memory: Budget,
    /// The router, its addresses filled in.
    pub router: router::config::Config,
    /// The queue, its addresses filled in.
    pub queue: queue::config::Config,
    /// The log plane.
    pub logs: logs::config::Config,
    /// The deploy plane.
    pub deploy: deploy::config::Config,
    /// The admin API's addresses; empty means only the unix socket.
    pub admin: AdminConfig,
    /// Who said where to listen and where to keep things.
    pub origins: Origins,
    /// Sentences that a user should see, such as a misspelt `FOREBAY_` variable.
    pub notes: Vec<String>,
}

impl NodeConfig {
    /// Reads `node.toml`, from `--config` or its usual place, and resolves it with the environment and the flags.
    ///
    /// # Errors
    /// When a file that `--config` names cannot be read, and as `resolve`.
    pub fn load(environment: BTreeMap<String, String>, flags: Flags, root: bool) -> Result<NodeConfig, ConfigError> {
        let path = flags.config.clone().or_else(|| default_file(&environment, root));
        let text = match path.as_deref().map(|path| (path, load::read_bounded(path))) {
            None => None,
            Some((_, Ok(text))) => Some(text),
            Some((_, Err(e))) if e.kind() == std::io::ErrorKind::NotFound && flags.config.is_none() => None,
            Some((path, Err(e))) => return Err(load::unreadable(FileKind::Node, &path.display().to_string(), &e)),
        };
        let name = path.unwrap_or_default().display().to_string();
        let file = text.as_deref().map(|text| (name.as_str(), text));
        let working_folder = std::env::current_dir().ok();
        NodeConfig::resolve(&Inputs { file, environment, flags, root, working_folder })
    }

    /// Merges defaults < file < environment < flags. A pure function of its inputs.
    ///
    /// # Errors
    /// All that is wrong in the file, else all that is wrong in the environment and the flags, else what is at odds.
    pub fn resolve(inputs: &Inputs<'_>) -> Result<NodeConfig, ConfigError> {
        let read = match inputs.file {
            Some((name, text)) => Some(file::read::<NodeFile>(FileKind::Node, Source { name, text })?),
            None => None,
        };
        let (file, document) = read.map_or((NodeFile::default(), None), |(file, document)| (file, Some(document)));
        if let Some(document) = &document {
            document.problems(rules(&file, document))?;
        }
        let mut found = places::Found { inputs, document: document.as_ref(), problems: Vec::new() };
        let NodeFile { mut router, mut queue, logs, deploy, mut admin, .. } = file;
        let (data, data_origin) = found.data(file.data);
        let (key_file, key_origin) = found.key_file(file.key_file);
        found.key_apart(&data, &key_file, &key_origin);
        let http = found.addresses(&places::HTTP, &mut router.listen);
        let https = found.addresses(&places::HTTPS, &mut router.tls.listen);
        let queue_origin = found.addresses(&places::QUEUE, &mut queue.listen);
        let admin_origin = found.addresses(&places::ADMIN, &mut admin.listen);
        let origins =
            Origins { data: data_origin, key_file: key_origin, http, https, queue: queue_origin, admin: admin_origin };
        found.shared_port(&origins, [&router.listen, &router.tls.listen, &queue.listen, &admin.listen]);
        ConfigError::of(FileKind::Node, found.problems, 0)?;
        let memory = memory::budget(file.memory_bytes_max, &router, &queue, &logs);
        if memory.is_exceeded() {
            return Err(exceeded(&memory, document.as_ref()));
        }
        let notes = strange_variables(&inputs.environment);
        Ok(NodeConfig { data, key_file, memory, router, queue, logs, deploy, admin, origins, notes })
    }
}

/// The environment of this process; what is not UTF-8 is no variable of ours.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where `node.toml` is when nobody says: /etc/forebay as root, else the XDG configuration folder.
pub fn default_file(environment: &BTreeMap<String, String>, root: bool) -> Option<PathBuf> {
    places::configuration_folder(environment, root).map(|folder| folder.join("node.toml"))
}

/// What the schema cannot say about `node.toml`.
fn rules(file: &NodeFile, document: &Document<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = KeyPath::root();
    for (plane, listen) in [("router", &file.router.listen), ("queue", &file.queue.listen)] {
        let at = root.key(plane).key("listen");
        if listen.is_empty() && document.has(&at) {
            let finding = Finding::invalid(at, "`listen` is an empty list").expected("at least one address");
            findings.push(finding.hint("leave the key away for the default"));
        }
    }
    tls::rules(&file.router.tls, &mut findings);
    tls::absolute(&file.router.tls, &mut findings);
    tls::of_queue(&file.queue.tls, &mut findings);
    let queue = root.key("queue");
    work::pushes(&queue.key("push"), &file.queue.push, &BTreeSet::new(), &mut findings);
    work::crons(&queue.key("cron"), &file.queue.cron, &mut findings);
    for (key, path) in [("data", &file.data), ("key_file", &file.key_file)] {
        if path.as_deref().is_some_and(|path| !path.is_absolute()) {
            findings.push(Finding::invalid(root.key(key), format!("`{key}` is relative")).expected("an absolute path"));
        }
    }
    let (first, last) = file.deploy.port_range;
    if first == 0 || first > last {
        let at = root.key("deploy").key("port_range");
        findings.push(
            Finding::invalid(at, format!("`port_range` is {first} to {last}"))
                .expected("the first port, then the last"),
        );
    }
    findings
}

fn exceeded(memory: &Budget, document: Option<&Document<'_>>) -> ConfigError {
    let at = KeyPath::root().key("memory_bytes_max");
    let message = format!("the memory budgets add up to {} bytes, {} is the limit", memory.sum(), memory.bytes_max);
    let hint = format!("raise memory_bytes_max or lower one of these:\n{memory}");
    let finding = Finding::invalid(at, message).code(Code::MemoryExceeded).hint(hint);
    match document.map(|document| document.problems(vec![finding.clone()])) {
        Some(Err(error)) => error,
        _ => {
            let problem = file::whole_file(finding.code, "the defaults", finding.message);
            ConfigError::one(FileKind::Node, Problem { hint: finding.hint, key: finding.path.to_string(), ..problem })
        }
    }
}

/// The variables that a node reads.
const VARIABLES: [&str; 6] =
    ["FOREBAY_CONFIG", "FOREBAY_DATA", "FOREBAY_HTTP", "FOREBAY_HTTPS", "FOREBAY_QUEUE", "FOREBAY_ADMIN"];

/// Variables that look like ours and are not: almost always a slip.
fn strange_variables(environment: &BTreeMap<String, String>) -> Vec<String> {
    let strange = environment.keys().filter(|name| name.starts_with("FOREBAY_") && !VARIABLES.contains(&name.as_str()));
    strange
        .filter(|name| !INSTANCE_VARIABLES.contains(&name.as_str()))
        .filter_map(|name| suggest::nearest(name, VARIABLES).map(|meant| (name, meant)))
        .map(|(name, meant)| format!("the variable {name} is not read; did you mean {meant}?"))
        .collect()
}

/// What an instance finds in its environment; a node that is started from inside one has them too.
const INSTANCE_VARIABLES: [&str; 9] = [
    "FOREBAY_APP",
    "FOREBAY_ENV",
    "FOREBAY_PROCESS",
    "FOREBAY_INSTANCE",
    "FOREBAY_RELEASE",
    "FOREBAY_QUEUE_URL",
    "FOREBAY_QUEUE_HTTP_URL",
    "FOREBAY_ROUTER_URL",
    "FOREBAY_SECRETS",
];

/// A problem of a flag or a variable.
fn setting_problem(setting: &str, key: &str, message: String, hint: Option<String>) -> Problem {
    let place = Place::Setting(setting.into());
    Problem { code: Code::Invalid, place, key: key.into(), message, expected: None, hint, excerpt: None }
}
