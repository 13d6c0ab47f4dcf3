//! `forebay queue put`.

use std::io::Read;

use control::client::body;
use http::Method;
use serde::{Deserialize, Serialize};

use super::segment;
use crate::args::{Global, PutArgs};
use crate::output::{self, Done};

#[derive(Debug, Serialize, Deserialize)]
struct Put {
    schema: u32,
    id: u64,
}

pub(super) async fn run(global: &Global, args: PutArgs) -> Done {
    let client = super::super::client(global)?;
    let bytes = match args.body {
        Some(text) => text.into_bytes(),
        None => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            bytes
        }
    };
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let pairs = args.scope.pairs([
        ("pri", number(args.pri)),
        ("delay_s", number(args.delay)),
        ("ttr_s", number(args.ttr)),
        ("key", args.key),
        ("unique", args.unique),
        ("order", args.order),
    ]);
    let path = format!("/v1/queue/tubes/{}/jobs{pairs}", segment(&args.tube));
    let put: Put = client.json(Method::POST, &path, body(bytes)).await?;
    if global.json {
        return Ok(output::json_line(&put)?);
    }
    Ok(output::line(&put.id.to_string())?)
}
