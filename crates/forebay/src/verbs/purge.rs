//! `forebay purge URL...`.

use control::client::body;
use control::wire::router::{PurgeReport, PurgeRequest};
use http::Method;
use serde::Serialize;

use crate::args::{Global, PurgeArgs};
use crate::output::{self, Done};

/// The report as machines read it.
#[derive(Serialize)]
struct Purged {
    schema: u32,
    #[serde(flatten)]
    report: PurgeReport,
}

pub(super) async fn run(global: &Global, args: PurgeArgs) -> Done {
    let PurgeArgs { urls, keys, all, soft } = args;
    let json = serde_json::to_vec(&PurgeRequest { urls, keys, all, soft }).map_err(std::io::Error::from)?;
    let report: PurgeReport = super::client(global)?.json(Method::POST, "/v1/router/purge", body(json)).await?;
    if global.json {
        return Ok(output::json_line(&Purged { schema: 1, report })?);
    }
    let PurgeReport { answers, under_way } = report;
    let what = if soft { "stale now" } else { "gone" };
    output::progress(&format!("{answers} answers are {what}; of {under_way} on their way nothing will be kept"));
    Ok(())
}
