//! HUP reads the configuration again and applies what can be applied; USR1 makes the queue refuse new jobs.

use config::NodeConfig;
use config::node::Flags;
use control::error::ApiError;
use tokio::signal::unix::{SignalKind, signal};

use super::{certificates, settings};
use crate::output::Quit;

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

/// What takes other settings while it runs.
pub(crate) struct Parts {
    pub(crate) queue: queue::Handle,
    pub(crate) router: router::Handle,
}

/// From a HUP on, the limits of the queue and the certificates of the router are those that `node.toml` now says. A file
/// with an error changes nothing.
pub(crate) fn reload_on_hup(flags: Flags, mut running: NodeConfig, parts: Parts) -> Result<(), Quit> {
    let mut hup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        while hup.recv().await.is_some() {
            if let Err(error) = reload(flags.clone(), &mut running, &parts).await {
                let at = error.at.clone().unwrap_or_default();
                tracing::error!(%error, at, "the configuration was not read again; everything stays as it was");
            }
        }
    });
    Ok(())
}

async fn reload(flags: Flags, running: &mut NodeConfig, parts: &Parts) -> Result<(), ApiError> {
    let read = settings::read(flags)?;
    let later = needs_restart(running, &read);
    parts.queue.set_limits(read.queue.clone()).await?;
    running.queue = read.queue;
    certificates::replace(&parts.router, &read.router.tls.certificates);
    running.router.tls.certificates = read.router.tls.certificates;
    let later = if later.is_empty() { "nothing".into() } else { later.join(", ") };
    tracing::info!(
        needs_restart = later,
        "the configuration was read again: the queue's limits and the certificates are as it says"
    );
    Ok(())
}

/// The parts of the file that have changed and count only at a start.
fn needs_restart(running: &NodeConfig, read: &NodeConfig) -> Vec<&'static str> {
    let limits_alone = queue::config::Config {
        jobs_max: read.queue.jobs_max,
        bytes_max: read.queue.bytes_max,
        tubes_max: read.queue.tubes_max,
        connection_tubes_max: read.queue.connection_tubes_max,
        keys_max: read.queue.keys_max,
        tube: read.queue.tube.clone(),
        ..running.queue.clone()
    };
    let mut but_certificates = running.router.clone();
    but_certificates.tls.certificates.clone_from(&read.router.tls.certificates);
    let changed = [
        ("data", running.data != read.data),
        ("key_file", running.key_file != read.key_file),
        ("[router] beyond its certificates", but_certificates != read.router),
        ("[queue] beyond its limits", limits_alone != read.queue),
        ("[logs]", running.logs != read.logs),
        ("[deploy]", running.deploy != read.deploy),
        ("[admin]", running.admin != read.admin),
    ];
    changed.into_iter().filter_map(|(part, changed)| changed.then_some(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::node::Inputs;

    fn config(text: &str) -> NodeConfig {
        NodeConfig::resolve(&Inputs { file: Some(("node.toml", text)), root: true, ..Inputs::default() }).unwrap()
    }

    #[test]
    fn only_what_counts_at_a_start_needs_one() {
        let running = config("schema = 1");
        assert!(
            needs_restart(&running, &config("schema = 1\n[queue]\njobs_max = 5\ntube = { jobs_max = 3 }")).is_empty()
        );
        let read = config("schema = 1\n[queue]\nconnections_max = 5\n[logs]\ntails_max = 1");
        assert_eq!(needs_restart(&running, &read), ["[queue] beyond its limits", "[logs]"]);
    }
}
