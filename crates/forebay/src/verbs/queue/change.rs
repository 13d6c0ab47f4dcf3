//! `forebay queue kick|bury|delete|pause|resume`: what operators do to a tube or a job.

use bytes::Bytes;
use control::client::body;
use http::Method;
use serde_json::Value;

use super::segment;
use crate::args::{Global, JobArgs, KickArgs, PauseArgs, TubeArgs};
use crate::output::{self, Done};

pub(super) async fn kick(global: &Global, args: &KickArgs) -> Done {
    let path = match (args.job, &args.tube) {
        (Some(id), _) => format!("/v1/queue/jobs/{id}/kick{}", args.scope.pairs([])),
        (None, tube) => {
            let pairs = args.scope.pairs([("jobs", Some(args.jobs.to_string()))]);
            format!("/v1/queue/tubes/{}/kick{pairs}", segment(tube.as_deref().unwrap_or_default()))
        }
    };
    change(global, Method::POST, &path, |done| format!("{} ready", done["jobs"])).await
}

pub(super) async fn bury(global: &Global, args: &JobArgs) -> Done {
    let path = format!("/v1/queue/jobs/{}/bury{}", args.job, args.scope.pairs([]));
    change(global, Method::POST, &path, |_| format!("{} buried", args.job)).await
}

pub(super) async fn delete(global: &Global, args: &JobArgs) -> Done {
    let path = format!("/v1/queue/jobs/{}{}", args.job, args.scope.pairs([]));
    change(global, Method::DELETE, &path, |_| format!("{} deleted", args.job)).await
}

pub(super) async fn pause(global: &Global, args: &PauseArgs) -> Done {
    let pairs = args.scope.pairs([("for_s", Some(args.duration.to_string())), ("why", args.why.clone())]);
    let path = format!("/v1/queue/tubes/{}/pause{pairs}", segment(&args.tube));
    let until = output::ago(args.duration.into());
    change(global, Method::POST, &path, |_| format!("{} paused for {until}", args.tube)).await
}

pub(super) async fn resume(global: &Global, args: &TubeArgs) -> Done {
    let path = format!("/v1/queue/tubes/{}/resume{}", segment(&args.tube), args.scope.pairs([]));
    change(global, Method::POST, &path, |_| format!("{} goes on", args.tube)).await
}

async fn change(global: &Global, method: Method, path: &str, say: impl FnOnce(&Value) -> String) -> Done {
    let done: Value = super::super::client(global)?.json(method, path, body(Bytes::new())).await?;
    if global.json {
        return Ok(output::json_line(&done)?);
    }
    Ok(output::line(&say(&done))?)
}
