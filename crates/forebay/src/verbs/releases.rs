//! `forebay releases`.

use control::wire::{Listing, ReleaseRow};

use crate::args::{Global, ReleasesArgs};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: ReleasesArgs) -> Done {
    let path = format!("/v1/releases{}", super::query(&[("app", args.app.map(|app| app.to_string()))]));
    let rows: Listing<ReleaseRow> = super::client(global)?.get(&path).await?;
    let header = ["app", "env", "release", "state", "created", "origin", "digest", "reason"];
    Ok(output::listing(&rows, global.json, &header, |row| {
        vec![
            row.app.to_string(),
            row.environment.to_string(),
            row.release.to_string(),
            row.state.clone(),
            output::local_time(row.created_ns),
            row.origin.clone(),
            row.digest.chars().take(12).collect(),
            row.reason.clone().unwrap_or_default(),
        ]
    })?)
}
