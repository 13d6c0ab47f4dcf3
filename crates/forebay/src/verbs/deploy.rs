//! `forebay deploy DIR` and `forebay rollback APP`.

use std::path::Path;

use control::client::{Client, Lines, body};
use control::error::{ApiError, Kind};
use control::wire::Progress;
use http::Method;

use crate::args::{DeployArgs, EnvFlag, Global, RollbackArgs};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: DeployArgs) -> Done {
    let source = Source::read(&args.folder, super::data_dir(global)?.path())?;
    let lines = source.send(&super::client(global)?, &args.env).await?;
    follow(lines, global.json).await
}

pub(super) async fn rollback(global: &Global, args: RollbackArgs) -> Done {
    let pairs = [("env", Some(args.env.env.to_string())), ("to", args.to.map(|to| to.0.to_string()))];
    let path = format!("/v1/apps/{}/rollback{}", args.app, super::query(&pairs));
    let lines = super::client(global)?.lines(Method::POST, &path, body("")).await?;
    follow(lines, global.json).await
}

/// Prints progress until it is done; the last line decides how the verb ends.
pub(super) async fn follow(mut lines: Lines, json: bool) -> Done {
    while let Some(event) = lines.next::<Progress>().await? {
        if json {
            output::json_line(&event)?;
        }
        match event {
            Progress::Phase { step, steps, what } if !json => output::progress(&format!("{step}/{steps} {what}")),
            Progress::Note { text } if !json => output::progress(&format!("    {text}")),
            Progress::Phase { .. } | Progress::Note { .. } => {}
            Progress::Done { release, took_ms } => {
                if !json {
                    let seconds = f64::from(u32::try_from(took_ms).unwrap_or(u32::MAX)) / 1_000.0;
                    output::progress(&format!("{release} serves, after {seconds:.1} s"));
                }
                return Ok(());
            }
            Progress::Failed { error } => return Err(error.into()),
        }
    }
    Err(ApiError::new(Kind::Timeout, "outcome_unknown", "the node went away before it was done")
        .hint("`forebay releases` tells what serves now")
        .into())
}
