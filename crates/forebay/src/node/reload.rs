//! HUP reads the configuration again and applies what can be applied; USR1 makes the queue refuse new jobs.

use std::collections::BTreeSet;

use config::NodeConfig;
use config::node::Flags;
use control::error::ApiError;
use serde::Serialize;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::{Planes, certificates, settings};
use crate::output::Quit;

/// The queue's keys that count at once; the others count at a start.
const QUEUE_KEYS: [&str; 7] =
    ["jobs_max", "bytes_max", "tubes_max", "connection_tubes_max", "keys_max", "tube", "tls.certificates"];

/// From a USR1 on, the queue refuses new jobs until the next start; workers go on.
pub(crate) fn drain_on_usr1(queue: queue::Handle) -> Result<(), Quit> {
    let mut usr1 = signal(SignalKind::user_defined1())?;
    tokio::task::spawn_local(async move {
        while usr1.recv().await.is_some() {
            tracing::info!("the queue refuses new jobs from now on, until the next start");
            if let Err(error) = queue.drain_mode(true).await {
                tracing::error!(%error, "the queue cannot be told to drain");
            }
        }
    });
    Ok(())
}

/// From a HUP on, what `node.toml` says holds as far as it can change while the node runs; the log names the keys that have
/// changed, and those that wait for a restart. A file with an error changes nothing.
pub(super) fn reload_on_hup(flags: Flags, started: NodeConfig, planes: Planes) -> Result<(), Quit> {
    let mut hup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        let mut running = started.clone();
        while hup.recv().await.is_some() {
            match reload(flags.clone(), &running, &planes).await {
                Ok(read) => {
                    let (applied, _) = changes(&running, &read);
                    let (_, needs_restart) = changes(&started, &read);
                    let (applied, needs_restart) = (listed(&applied), listed(&needs_restart));
                    tracing::info!(applied, needs_restart, "the configuration was read again");
                    running = read;
                }
                Err(error) => {
                    let at = error.at.clone().unwrap_or_default();
                    tracing::error!(%error, at, "the configuration was not read again; everything stays as it was");
                }
            }
        }
    });
    Ok(())
}

async fn reload(flags: Flags, running: &NodeConfig, planes: &Planes) -> Result<NodeConfig, ApiError> {
    let read = settings::read(flags)?;
    // A queue that has failed refuses; then nothing has changed.
    if read.queue != running.queue {
        planes.queue.set_limits(read.queue.clone()).await?;
    }
    if read.router != running.router {
        planes.router.reconfigure(read.router.clone());
    }
    certificates::replace(&planes.router, &read.router.tls.certificates);
    certificates::replace_of_queue(&planes.queue, &read.queue.tls.certificates);
    planes.logs.reconfigure(&read.logs);
    planes.deploy.reconfigure(read.deploy.clone());
    Ok(read)
}

/// The keys that say something else: those that count at once, and those that count at the next start.
fn changes(before: &NodeConfig, after: &NodeConfig) -> (Vec<String>, Vec<String>) {
    let planes = [
        ("router", tables(&before.router, &after.router), &router::LIVE_KEYS[..]),
        ("queue", tables(&before.queue, &after.queue), &QUEUE_KEYS),
        ("logs", tables(&before.logs, &after.logs), &logs::config::LIVE_KEYS),
        ("deploy", tables(&before.deploy, &after.deploy), &deploy::config::LIVE_KEYS),
        ("admin", tables(&before.admin, &after.admin), &[]),
    ];
    let mut later: Vec<String> = Vec::new();
    later.extend((before.data != after.data).then(|| "data".into()));
    later.extend((before.key_file != after.key_file).then(|| "key_file".into()));
    let mut at_once = Vec::new();
    for (plane, [before, after], live) in planes {
        for key in differing(&before, &after) {
            let list = if is_one_of(live, &key) { &mut at_once } else { &mut later };
            list.push(format!("{plane}.{key}"));
        }
    }
    (at_once, later)
}

/// What of a file with routes has changed in its `[router]`, in the same way.
pub(super) fn router_changes(before: &router::config::Config, after: &router::config::Config) -> [String; 2] {
    let [before, after] = tables(before, after);
    let (at_once, later): (Vec<String>, Vec<String>) =
        differing(&before, &after).into_iter().partition(|key| is_one_of(&router::LIVE_KEYS, key));
    [at_once, later].map(|keys| listed(&keys.iter().map(|key| format!("router.{key}")).collect::<Vec<_>>()))
}

/// Whether one of `keys` is this key, or a table that it stands in.
fn is_one_of(keys: &[&str], key: &str) -> bool {
    keys.iter().any(|one| key.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Two configurations as the tables that they are written as.
fn tables(before: &impl Serialize, after: &impl Serialize) -> [Value; 2] {
    // They are made of numbers, texts and lists, and become JSON whatever they say.
    [serde_json::to_value(before).unwrap_or_default(), serde_json::to_value(after).unwrap_or_default()]
}

fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return Vec::new() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut keys = Vec::new();
    for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
        let (old, new) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        let inner = differing(old, new);
        match inner.is_empty() {
            true => keys.push(name.clone()),
            false => keys.extend(inner.into_iter().map(|key| format!("{name}.{key}"))),
        }
    }
    keys
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "nothing".into() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::node::Inputs;

    fn config(text: &str) -> NodeConfig {
        NodeConfig::resolve(&Inputs { file: Some(("node.toml", text)), root: true, ..Inputs::default() }).unwrap()
    }

    #[test]
    fn every_key_that_changed_is_named_and_told_when_it_counts() {
        let started = config("schema = 1");
        assert_eq!(changes(&started, &started), (vec![], vec![]));
        let read = config(
            "schema = 1\n[router]\nheld_max = 5\nworkers = 3\n[queue]\njobs_max = 5\nconnections_max = 5\n\
             tube = { jobs_max = 3 }\n[logs]\nretention_bytes = 500000000\ncommit_interval_ms = 5\n\
             [deploy]\nreleases_max = 2\nport_range = [30000, 30100]\n[router.tls]\nhandshakes_max = 5\n\
             certificates = [{ cert = \"/a\", key = \"/b\" }]",
        );
        let (at_once, later) = changes(&started, &read);
        assert_eq!(
            at_once,
            [
                "router.held_max",
                "router.tls.certificates",
                "queue.jobs_max",
                "queue.tube.jobs_max",
                "logs.retention_bytes",
                "deploy.releases_max"
            ]
        );
        assert_eq!(
            later,
            [
                "router.tls.handshakes_max",
                "router.workers",
                "queue.connections_max",
                "logs.commit_interval_ms",
                "deploy.port_range"
            ]
        );
    }

    #[test]
    fn keys_that_are_said_to_count_at_once_are_keys() {
        let config = config("schema = 1\n[router.tls.acme]\nterms_agreed = true\n");
        let known = |table: &Value, key: &str| table.pointer(&format!("/{}", key.replace('.', "/"))).is_some();
        for (table, live) in [
            (tables(&config.router, &config.router), &router::LIVE_KEYS[..]),
            (tables(&config.queue, &config.queue), &QUEUE_KEYS),
            (tables(&config.logs, &config.logs), &logs::config::LIVE_KEYS),
            (tables(&config.deploy, &config.deploy), &deploy::config::LIVE_KEYS),
        ] {
            assert!(live.iter().all(|key| known(&table[0], key)), "{live:?} of {}", table[0]);
        }
    }
}
