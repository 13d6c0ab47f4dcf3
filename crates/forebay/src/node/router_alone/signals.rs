//! HUP reads the file again; HUP and USR1 open the access log again.

use std::path::PathBuf;
use std::rc::Rc;

use config::RouterFile;
use control::error::ApiError;
use router::standalone::Driving;
use tokio::signal::unix::{SignalKind, signal};

use super::plan::plan_of;
use crate::node::access_file::Reopen;
use crate::node::certificates;
use crate::node::connectors::Connectors;
use crate::node::reload::router_changes;
use crate::output::{self, Quit};

/// A USR1 opens the access log again.
pub(super) fn reopen_on_usr1(reopen: Reopen) -> Result<(), Quit> {
    let mut usr1 = signal(SignalKind::user_defined1())?;
    tokio::task::spawn_local(async move {
        while usr1.recv().await.is_some() {
            reopen.ask();
        }
    });
    Ok(())
}

/// What is read again, and what was read at the start.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) started: router::config::Config,
    pub(super) driving: Rc<Driving>,
    pub(super) connectors: Connectors,
}

/// A file that cannot be read, or an empty one, never takes away the routes that serve.
pub(super) fn reload_on_hup(reload: Reload, router: router::Handle, reopen: Reopen) -> Result<(), Quit> {
    let mut hup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        let mut running = reload.started.clone();
        while hup.recv().await.is_some() {
            reopen.ask();
            let read = RouterFile::load(&reload.path).map_err(ApiError::from);
            let read = read.and_then(|file| Ok((plan_of(&file, &reload.connectors)?, file)));
            match read {
                Ok((plan, file)) => {
                    reload.driving.replace(plan).await;
                    let [applied, _] = router_changes(&running, &file.router);
                    let [_, needs_restart] = router_changes(&reload.started, &file.router);
                    router.reconfigure(file.router.clone());
                    certificates::replace(&router, &file.router.tls.certificates);
                    running = file.router;
                    tracing::info!(applied, needs_restart, "read again: routes and upstreams are as the file says");
                }
                Err(error) => {
                    let told = output::print_error(&error);
                    output::progress(if told.is_ok() { "the routes stay as they were" } else { "" });
                }
            }
        }
    });
    Ok(())
}
