//! `forebay scale APP PROCESS=N`.

use std::collections::BTreeMap;

use control::client::body;
use control::error::{ApiError, Kind};
use http::Method;

use crate::args::{Global, ScaleArgs};
use crate::output::Done;

pub(super) async fn run(global: &Global, args: ScaleArgs) -> Done {
    let counts: BTreeMap<_, _> = args.counts.into_iter().collect();
    let json =
        serde_json::to_vec(&counts).map_err(|e| ApiError::new(Kind::Failed, "request_malformed", e.to_string()))?;
    let path = format!(
        "/v1/apps/{}/scale{}",
        args.app,
        super::query(&[("env", Some(args.env.env.to_string())), args.wait.pair()])
    );
    let lines = super::client(global)?.lines(Method::POST, &path, body(json)).await?;
    super::deploy::follow(lines, global.json).await
}
