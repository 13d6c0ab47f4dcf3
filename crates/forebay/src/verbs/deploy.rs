//! `forebay deploy DIR` and `forebay rollback APP`.

use std::path::Path;

use config::Manifest;
use control::client::{Client, Lines, body, stream_body};
use control::error::{ApiError, Kind};
use control::wire::Progress;
use deploy::source::SourceLimits;
use http::Method;
use stdx::ids::AppName;

use crate::args::{DeployArgs, EnvFlag, Global, RollbackArgs, WaitFlag};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, args: DeployArgs) -> Done {
    let source = Source::read(&args.folder, super::data_dir(global)?.path())?;
    let lines = source.send(&super::client(global)?, &args.env, args.wait).await?;
    follow(lines, global.json).await
}

pub(super) async fn rollback(global: &Global, args: RollbackArgs) -> Done {
    let pairs = [("env", Some(args.env.env.to_string())), ("to", args.to.map(|to| to.0.to_string())), args.wait.pair()];
    let path = format!("/v1/apps/{}/rollback{}", args.app, super::query(&pairs));
    let lines = super::client(global)?.lines(Method::POST, &path, body("")).await?;
    follow(lines, global.json).await
}

/// An application's folder, read and ready to be sent.
pub(super) struct Source {
    app: AppName,
    files: deploy::source::Source,
    digest: String,
}

impl Source {
    /// Reads the manifest, so that what is wrong with it is said at once, and walks the folder.
    pub(super) fn read(folder: &Path, data: &Path) -> Result<Source, ApiError> {
        let loaded = Manifest::load(folder)?;
        for note in &loaded.notes {
            output::progress(&format!("note: {note}"));
        }
        let files = deploy::source::Source::scan(folder, SourceLimits::default(), &[data.to_path_buf()])?;
        let digest = files.digest()?;
        output::progress(&format!(
            "{}: {}, {} files, {} KiB",
            loaded.manifest.app,
            loaded.origin,
            files.files(),
            files.bytes().div_ceil(1024)
        ));
        Ok(Source { app: loaded.manifest.app, files, digest })
    }

    pub(super) fn app(&self) -> &AppName {
        &self.app
    }

    /// SHA-256 over what would be sent.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Sends it as a tar stream; the answer is the deploy's progress.
    pub(super) async fn send(self, client: &Client, env: &EnvFlag, wait: WaitFlag) -> Result<Lines, ApiError> {
        let pairs = [("app", Some(self.app.to_string())), ("env", Some(env.env.to_string())), wait.pair()];
        let path = format!("/v1/deploys{}", super::query(&pairs));
        client.lines(Method::POST, &path, stream_body(self.files.stream())).await
    }
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
