//! `forebay queue ls`, and the queue served alone.

use control::wire::{Listing, QueueRow};

use crate::args::{Global, QueueVerb};
use crate::output::{self, Done};

pub(super) async fn run(global: &Global, verb: QueueVerb) -> Done {
    match verb {
        QueueVerb::Ls => list(global).await,
        QueueVerb::Serve(args) => crate::node::alone::queue(&super::data_dir(global)?, args.listen).await,
    }
}

async fn list(global: &Global) -> Done {
    let rows: Listing<QueueRow> = super::client(global)?.get("/v1/queues").await?;
    let header = [
        "app",
        "env",
        "tube",
        "ready",
        "reserved",
        "delayed",
        "buried",
        "bytes",
        "oldest",
        "waiting",
        "total",
        "durability",
    ];
    Ok(output::listing(&rows, global.json, &header, |row| {
        let name = |name: Option<String>| name.unwrap_or_else(|| "-".into());
        vec![
            name(row.app.as_ref().map(ToString::to_string)),
            name(row.environment.as_ref().map(ToString::to_string)),
            row.tube.clone(),
            row.ready.to_string(),
            row.reserved.to_string(),
            row.delayed.to_string(),
            row.buried.to_string(),
            row.bytes.to_string(),
            row.oldest_ready_ms.map_or_else(|| "-".into(), |ms| output::ago(ms / 1_000)),
            row.waiting.to_string(),
            row.total.to_string(),
            row.durability.clone(),
        ]
    })?)
}
