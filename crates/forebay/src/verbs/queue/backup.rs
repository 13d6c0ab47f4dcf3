//! `forebay queue snapshot|verify|restore`.

use control::client::body;
use control::error::{ApiError, Kind};
use http::Method;
use queue::backup::{self, Copied, Verified};

use crate::args::{Global, RestoreArgs, SnapshotArgs, VerifyArgs};
use crate::output::{self, Done};

pub(super) async fn snapshot(global: &Global, args: &SnapshotArgs) -> Done {
    // The node writes the copy, and it stands somewhere else.
    let to = std::path::absolute(&args.to)?;
    let ask = serde_json::json!({ "to": to }).to_string();
    let copied: Copied = super::super::client(global)?.json(Method::POST, "/v1/queue/snapshot", body(ask)).await?;
    if global.json {
        return super::tell_json(&copied);
    }
    Ok(output::line(&format!("{} segments, {} bytes in {}", copied.segments, copied.bytes, to.display()))?)
}

pub(super) fn verify(global: &Global, args: VerifyArgs) -> Done {
    let folder = match args.folder {
        Some(folder) => folder,
        None => super::super::data_dir(global)?.plane("queue"),
    };
    let verified = backup::verify(&folder).map_err(ApiError::from)?;
    tell(global, &verified)?;
    if verified.damage.is_empty() {
        return Ok(());
    }
    let error = ApiError::new(Kind::Failed, "queue_log_damaged", "acknowledged records are missing or damaged");
    let error = error.at(folder.display().to_string()).details(verified.damage);
    Err(error
        .hint("`forebay queue repair` takes the damage out, once the queue is stopped; --dry-run says what is lost")
        .into())
}

pub(super) fn restore(global: &Global, args: &RestoreArgs) -> Done {
    let to = super::super::data_dir(global)?.plane("queue");
    tell(global, &backup::restore(&args.from, &to).map_err(ApiError::from)?)
}

fn tell(global: &Global, verified: &Verified) -> Done {
    if global.json {
        return Ok(output::json_line(verified)?);
    }
    let Verified { jobs, tubes, bytes, records, segments, torn_bytes, .. } = verified;
    output::line(&format!("{jobs} jobs in {tubes} tubes, {bytes} bytes; {records} records in {segments} segments"))?;
    if *torn_bytes > 0 {
        output::line(&format!("{torn_bytes} bytes at the end were never acknowledged"))?;
    }
    Ok(())
}
