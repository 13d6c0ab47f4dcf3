//! What a schema cannot say about a manifest: the keys at odds with each other, the reserved names.

use std::collections::BTreeMap;

use deploy::config::ProcessConfig;
use router::config::{RouteConfig, RoutePolicy};
use stdx::ids::ProcessName;

use crate::document::Finding;
use crate::key_path::KeyPath;
use crate::manifest::Manifest;
use crate::pages;
use crate::suggest::nearest;
use crate::treatment;
use crate::users;
use crate::work;

/// Process names that mean something else to Forebay, now or in the release command to come.
const RESERVED_PROCESSES: [&str; 2] = ["forebay", "release"];
/// Bytes of all environment variables together; they travel through one `execve`.
const ENV_BYTES_MAX: usize = 64 << 10;

/// Everything about the manifest that does not fit together.
pub(crate) fn manifest(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    variables(manifest, &mut findings);
    processes(manifest, &mut findings);
    routes(manifest, &mut findings);
    upstreams(manifest, &mut findings);
    dependencies(manifest, &mut findings);
    let routed = manifest.routed();
    let routed = routed.iter().map(|name| name.as_str()).collect();
    work::pushes(&KeyPath::root().key("push"), &manifest.push, &routed, &mut findings);
    work::crons(&KeyPath::root().key("cron"), &manifest.cron, &mut findings);
    findings
}

fn dependencies(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for (name, dependency) in &manifest.dependencies {
        let at = KeyPath::root().key("dependencies").key(name);
        let ways = [&dependency.tcp, &dependency.http, &dependency.command].iter().filter(|way| way.is_some()).count();
        if ways != 1 {
            let message = format!("`{name}` needs one of `tcp`, `http` and `command`, and has {ways}");
            findings.push(Finding::invalid(at.clone(), message).on_key().hint("write tcp = \"db.internal:5432\""));
        }
        for (n, secret) in dependency.secrets_env.iter().enumerate().filter(|(_, one)| !manifest.secrets.contains(*one))
        {
            let message = format!("`{secret}` is not among the application's `secrets`");
            findings.push(
                Finding::invalid(at.key("secrets_env").index(n), message)
                    .hint(format!("add it: secrets = [\"{secret}\"]")),
            );
        }
    }
}

fn variables(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("env");
    for (name, value) in &manifest.env {
        let at = at.key(name);
        if name.starts_with("FOREBAY_") || name == "PORT" {
            let message = format!("`{name}` is set by Forebay itself");
            findings.push(Finding::invalid(at, message).on_key().hint("take another name"));
        } else if value.contains('\0') {
            findings.push(Finding::invalid(at, format!("`{name}` has a NUL character, which no variable can hold")));
        } else if manifest.secrets.contains(name) {
            let message = format!("`{name}` is both a variable and a secret");
            findings.push(Finding::invalid(at, message).on_key().hint("keep it as a secret only"));
        }
    }
    let bytes: usize = manifest.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > ENV_BYTES_MAX {
        let finding = Finding::invalid(at, format!("the variables have {bytes} bytes together"));
        findings.push(finding.expected(format!("at most {ENV_BYTES_MAX}")));
    }
}

fn processes(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let at = KeyPath::root().key("processes");
    if manifest.processes.is_empty() {
        let finding = Finding::invalid(at.clone(), "there is no process").expected("at least one [processes.NAME]");
        findings.push(finding.hint("write [processes.web] with command = \"...\""));
    }
    for (name, process) in &manifest.processes {
        let at = at.key(name.as_str());
        if RESERVED_PROCESSES.contains(&name.as_str()) {
            findings.push(reserved(&at, name.as_str()));
        }
        command(&at, process, findings);
        for (n, secret) in process.secrets_env.iter().enumerate() {
            if !manifest.secrets.contains(secret) {
                let hint = nearest(secret, manifest.secrets.iter().map(String::as_str))
                    .map_or_else(|| format!("add it: secrets = [\"{secret}\"]"), |s| format!("did you mean `{s}`?"));
                let message = format!("`{secret}` is not among the application's `secrets`");
                findings.push(Finding::invalid(at.key("secrets_env").index(n), message).hint(hint));
            }
        }
    }
}

fn reserved(at: &KeyPath, name: &str) -> Finding {
    let finding = Finding::invalid(at.clone(), format!("the process name `{name}` is reserved")).on_key();
    match name {
        "release" => finding.hint(
            "this Forebay runs no release command; run it by hand or at the start of another process, and remove this one",
        ),
        _ => finding.hint("take another name"),
    }
}

fn command(at: &KeyPath, process: &ProcessConfig, findings: &mut Vec<Finding>) {
    let text = &process.command;
    let at = at.key("command");
    if text.trim().is_empty() {
        findings
            .push(Finding::invalid(at, "`command` is empty").expected("a command line, such as \"python3 web.py\""));
    } else if text.contains(['\0', '\n']) {
        findings.push(Finding::invalid(at, "`command` has a line break or a NUL").expected("one line"));
    }
}

fn upstreams(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let routed = manifest.routed();
    for name in manifest.upstreams.keys().filter(|name| !routed.contains(*name)) {
        let message = format!("no route leads to a process `{name}`");
        let hint = nearest(name.as_str(), routed.iter().map(|one| one.as_str()))
            .map_or_else(|| "name it in [[routes]] first".into(), |near| format!("did you mean `{near}`?"));
        findings
            .push(Finding::invalid(KeyPath::root().key("upstreams").key(name.as_str()), message).on_key().hint(hint));
    }
}

fn routes(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut seen = BTreeMap::new();
    for (n, route) in manifest.routes.iter().enumerate() {
        let at = KeyPath::root().key("routes").index(n);
        if !manifest.processes.contains_key(&route.process) {
            findings.push(unknown_process(&at.key("process"), route.process.as_str(), manifest));
        }
        let instead = route.policy.fallback.as_ref().and_then(|fallback| fallback.upstream.as_deref());
        if let Some(name) = instead.filter(|name| !manifest.processes.keys().any(|one| one.as_str() == *name)) {
            findings.push(unknown_process(&at.key("fallback").key("upstream"), name, manifest));
        }
        let primary = route.policy.read_your_writes.as_ref().map(|own| own.primary.as_str());
        if let Some(name) = primary.filter(|name| !manifest.processes.keys().any(|one| one.as_str() == *name)) {
            findings.push(unknown_process(&at.key("read_your_writes").key("primary"), name, manifest));
        }
        pages::rules(&at, &route.policy, findings);
        treatment::rules(&at, &route.policy, findings);
        users::rules(&at, &route.policy, true, findings);
        if let Some(first) = seen.insert(route_key(route.host.as_deref(), &route.path_prefix, &route.policy), n) {
            findings.push(Finding::invalid(at.clone(), format!("the route is the same as routes[{first}]")));
        }
    }
}

fn unknown_process(at: &KeyPath, process: &str, manifest: &Manifest) -> Finding {
    let known: Vec<&str> = manifest.processes.keys().map(|name| name.as_str()).collect();
    let hint = nearest(process, known.iter().copied())
        .map_or_else(|| format!("known processes: {}", known.join(", ")), |name| format!("did you mean `{name}`?"));
    Finding::invalid(at.clone(), format!("there is no process `{process}`")).hint(hint)
}

/// The processes that a route asks: its own, the one that it falls back to, and the one that takes its writes.
pub(crate) fn asked(route: &RouteConfig) -> impl Iterator<Item = ProcessName> {
    let instead = route.policy.fallback.as_ref().and_then(|fallback| fallback.upstream.as_ref()?.parse().ok());
    let primary = route.policy.read_your_writes.as_ref().and_then(|own| own.primary.parse().ok());
    [route.process.clone()].into_iter().chain(instead).chain(primary)
}

/// What makes a route distinct: `/shop/` and `/shop` take the same requests, unless at other degrade levels.
pub(crate) fn route_key<'r>(
    host: Option<&'r str>,
    path_prefix: &'r str,
    policy: &RoutePolicy,
) -> (Option<&'r str>, &'r str, u8, u8) {
    let levels = policy.degrade.clone().unwrap_or_default();
    (host, path_prefix.trim_end_matches('/'), levels.from, levels.to)
}
