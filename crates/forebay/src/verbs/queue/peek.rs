//! `forebay queue peek`: a job and its body.

use std::io::Write;

use control::error::{ApiError, Kind};
use control::wire::{JobRow, Listing};
use stdx::base64;

use super::{segment, tell_json};
use crate::args::{Global, PeekArgs};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: &PeekArgs) -> Done {
    let client = super::super::client(global)?;
    let row: JobRow = match (args.job, &args.tube) {
        (Some(id), _) => client.get(&format!("/v1/queue/jobs/{id}{}", args.scope.pairs([]))).await?,
        (None, Some(tube)) => {
            let pairs = args.scope.pairs([("state", Some(args.state.clone()))]);
            let first: Listing<JobRow> = client.get(&format!("/v1/queue/tubes/{}/peek{pairs}", segment(tube))).await?;
            let none = || ApiError::new(Kind::NotFound, "no_such_job", format!("`{tube}` has no {} job", args.state));
            first.items.into_iter().next().ok_or_else(none)?
        }
        (None, None) => return Ok(()),
    };
    if global.json {
        return tell_json(&row);
    }
    output::progress(&format!(
        "job {} of {}: {}, pri {}, {} bytes, reserved {} times",
        row.id, row.tube, row.state, row.pri, row.bytes, row.reserves
    ));
    let mut out = std::io::stdout().lock();
    match (&row.body, &row.body_base64) {
        (Some(text), _) => writeln!(out, "{text}")?,
        // As it is: what is no text goes into a file or a pipe.
        (None, Some(text)) => out.write_all(&base64::decode(text).unwrap_or_default())?,
        (None, None) => {}
    }
    Ok(())
}
