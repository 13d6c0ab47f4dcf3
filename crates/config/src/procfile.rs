//! A `Procfile`: one `name: command` a line. Enough for an application that needs no more.

use std::collections::BTreeMap;
use std::ops::Range;

use deploy::config::ProcessConfig;
use stdx::ids::{AppName, ProcessName};

use crate::document::{self, Finding};
use crate::error::{Code, ConfigError, FileKind};
use crate::key_path::{KeyPath, Step};
use crate::manifest::Manifest;
use crate::source::Source;
use crate::{file, rules};

/// The process that gets the route `/`.
const WEB: &str = "web";

/// Reads a Procfile as the manifest of `app`: every process with the defaults, and a route `/` to `web` where there is one.
pub(crate) fn read(app: AppName, source: Source<'_>) -> Result<Manifest, ConfigError> {
    file::bounded(FileKind::Manifest, source.name, source.text.len())?;
    let mut slips = Vec::new();
    let mut processes: BTreeMap<ProcessName, ProcessConfig> = BTreeMap::new();
    let mut spans: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for (span, line) in lines(source.text) {
        match process(line).and_then(|(name, command)| match processes.contains_key(&name) {
            true => Err(Finding::invalid(KeyPath::root(), format!("the process `{name}` is there twice"))),
            false => Ok((name, command)),
        }) {
            Ok((name, command)) => {
                spans.insert(name.to_string(), span);
                processes.insert(name, of_command(command));
            }
            Err(finding) => slips.push((Some(span), finding.code(Code::Syntax))),
        }
    }
    document::told(FileKind::Manifest, &source, slips)?;
    let manifest = with_route(app, processes);
    let placed = rules::manifest(&manifest).into_iter().map(|finding| {
        let name = finding.path.steps().get(1);
        let span = name.and_then(|step| if let Step::Key(name) = step { spans.get(name).cloned() } else { None });
        (span, finding)
    });
    document::told(FileKind::Manifest, &source, placed.collect())?;
    Ok(manifest)
}

/// The lines that say something, with where they stand.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut begin = 0;
    let whole = text.split_inclusive('\n').map(move |line| {
        let at = begin;
        begin += line.len();
        (at, line.trim_end())
    });
    whole
        .filter(|(_, line)| !line.trim_start().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(at, line)| (at..at + line.len(), line))
}

fn process(line: &str) -> Result<(ProcessName, &str), Finding> {
    const EXPECTED: &str = "`name: command`, such as `web: python3 web.py`";
    let no_process = || Finding::invalid(KeyPath::root(), "the line names no process").expected(EXPECTED);
    let (name, command) = line.split_once(':').ok_or_else(no_process)?;
    let name = ProcessName::new(name.trim()).map_err(|e| Finding::invalid(KeyPath::root(), e.to_string()))?;
    Ok((name, command.trim()))
}

/// A process of which only the command is known; the other keys have their defaults.
pub(crate) fn of_command(command: &str) -> ProcessConfig {
    ProcessConfig {
        command: command.into(),
        instances: 1,
        health: None,
        stop_timeout_ms: 10_000,
        stdout_block_ms: 250,
        secrets_env: Vec::new(),
        limits: Default::default(),
    }
}

fn with_route(app: AppName, processes: BTreeMap<ProcessName, ProcessConfig>) -> Manifest {
    let web = processes.keys().find(|name| name.as_str() == WEB).cloned();
    let routes = web.into_iter().map(|process| router::config::RouteConfig {
        host: None,
        path_prefix: "/".into(),
        process,
        policy: Default::default(),
    });
    Manifest {
        schema: FileKind::Manifest.schema(),
        app,
        owner: None,
        env: BTreeMap::new(),
        secrets: Default::default(),
        routes: routes.collect(),
        processes,
        upstreams: BTreeMap::new(),
        dependencies: BTreeMap::new(),
        queues: BTreeMap::new(),
        push: BTreeMap::new(),
        cron: BTreeMap::new(),
    }
}
