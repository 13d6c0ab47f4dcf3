//! `forebay upgrade`: what USR2 does, and what becomes of it.

use std::time::Duration;

use control::client::{Client, body};
use control::error::{ApiError, Kind};
use control::wire::{ProcessRow, UpgradeRow};
use http::Method;
use serde_json::json;

use crate::args::{Global, UpgradeArgs};
use crate::output::{self, Done};

/// How often it is asked who answers.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(global: &Global, args: UpgradeArgs) -> Done {
    let client = super::client(global)?;
    let old: ProcessRow = client.get("/v1/process").await?;
    let _begun: ProcessRow = client.json(Method::POST, "/v1/upgrade", body("")).await?;
    let new = tokio::time::timeout(args.timeout, outcome(&client, &old)).await.map_err(|_| {
        ApiError::new(Kind::Timeout, "upgrade_unknown", "the new process did not answer in time")
            .hint("the log of the process tells how far it has come")
    })??;
    if global.json {
        return Ok(output::json_line(&json!({ "old": old, "new": new }))?);
    }
    let said = |row: &ProcessRow| format!("{} (pid {})", row.version, row.pid);
    output::progress(&format!("forebay {} serves in the place of {}", said(&new), said(&old)));
    Ok(())
}

/// Asks until another process answers, or the old one says that it goes on.
async fn outcome(client: &Client, old: &ProcessRow) -> Result<ProcessRow, ApiError> {
    loop {
        // One that is about to end may hang up.
        if let Ok(row) = client.get::<ProcessRow>("/v1/process").await {
            if (row.pid, row.started_ns) != (old.pid, old.started_ns) {
                return Ok(row);
            }
            if let Some(UpgradeRow { error: Some(error), .. }) = row.upgrade {
                return Err(ApiError { kind: Kind::Rejected, ..error });
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
