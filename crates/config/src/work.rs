//! What a schema cannot say of deliveries by HTTP and periodic jobs.

use std::collections::{BTreeMap, BTreeSet};

use queue::cron::{CronConfig, CronError};
use queue::push::{PushConfig, PushError};

use crate::document::Finding;
use crate::key_path::KeyPath;
use crate::suggest::nearest;

/// Periodic jobs below `at`.
pub(crate) fn crons(at: &KeyPath, crons: &BTreeMap<String, CronConfig>, findings: &mut Vec<Finding>) {
    for (name, cron) in crons {
        let Err(error) = cron.check() else { continue };
        let (key, hint) = match error {
            CronError::Line(_) | CronError::Never(_) => ("schedule", "minute hour day month weekday, as \"0 3 * * *\""),
            CronError::Zone(_) => ("time_zone", "a name of the time zone database, as \"Europe/Berlin\""),
            CronError::Tube(_) => ("tube", "a tube's name"),
        };
        findings.push(Finding::invalid(at.key(name).key(key), error.to_string()).expected(hint));
    }
}

/// Deliveries below `at`, to URLs or to these processes.
pub(crate) fn pushes(
    at: &KeyPath,
    pushes: &BTreeMap<String, PushConfig>,
    routed: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) {
    for (tube, push) in pushes {
        let at = at.key(tube);
        if let Err(error) = push.check() {
            let finding = match error {
                PushError::Aim => Finding::invalid(at.clone(), error.to_string()).on_key(),
                PushError::Url(_) | PushError::Scheme(_) => Finding::invalid(at.key("url"), error.to_string()),
            };
            findings
                .push(finding.hint("name one target: url = \"http://HOST:PORT/PATH\", or a process that has a route"));
        }
        if let Some(process) = push.process.as_deref().filter(|process| !routed.contains(process)) {
            let hint = nearest(process, routed.iter().copied()).map_or_else(
                || "name it in [[routes]] first, or give a `url`".into(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("no route leads to a process `{process}`");
            findings.push(Finding::invalid(at.key("process"), message).hint(hint));
        }
    }
}
