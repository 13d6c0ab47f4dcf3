//! `forebay queue ls` and `forebay queue watch`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use control::client::Client;
use control::error::ApiError;
use control::wire::{Listing, QueueRow};

use super::or_dash;
use crate::args::{Global, TubesOf};
use crate::output::{self, Done};

/// How often `watch` looks.
const LOOK: Duration = Duration::from_secs(1);

const HEADER: [&str; 17] = [
    "app",
    "env",
    "tube",
    "ready",
    "reserved",
    "delayed",
    "buried",
    "dead",
    "retries",
    "oldest",
    "in/s",
    "out/s",
    "drain",
    "waiting",
    "paused",
    "durability",
    "alerts",
];

pub(super) async fn run(global: &Global, args: &TubesOf) -> Done {
    let rows = get(&super::super::client(global)?, args).await?;
    Ok(output::listing(&rows, global.json, &HEADER, cells)?)
}

/// A new table each second, or a listing a line.
pub(super) async fn watch(global: &Global, args: &TubesOf) -> Done {
    let client = super::super::client(global)?;
    loop {
        let rows = get(&client, args).await?;
        if !global.json && std::io::stdout().is_terminal() {
            // To the first place, and away with what was there.
            write!(std::io::stdout(), "\x1b[H\x1b[2J")?;
        }
        output::listing(&rows, global.json, &HEADER, cells)?;
        std::io::stdout().flush()?;
        tokio::time::sleep(LOOK).await;
    }
}

async fn get(client: &Client, args: &TubesOf) -> Result<Listing<QueueRow>, ApiError> {
    let scope = crate::args::ScopeFlags { app: args.app.clone(), env: args.env.clone() };
    client.get(&format!("/v1/queue/tubes{}", scope.pairs([]))).await
}

fn cells(row: &QueueRow) -> Vec<String> {
    vec![
        or_dash(row.app.as_ref().map(ToString::to_string)),
        or_dash(row.environment.as_ref().map(ToString::to_string)),
        row.tube.clone(),
        row.ready.to_string(),
        row.reserved.to_string(),
        row.delayed.to_string(),
        row.buried.to_string(),
        row.dead.to_string(),
        (row.timeouts + row.releases + row.failures).to_string(),
        or_dash(row.oldest_ready_ms.map(|ms| output::ago(ms / 1_000))),
        rate(row.burden.arrivals_per_s),
        rate(row.burden.services_per_s),
        drain(row),
        row.waiting.to_string(),
        or_dash(paused(row)),
        row.durability.clone(),
        or_dash(alerts(row)),
    ]
}

/// By whom, or that it is.
fn paused(row: &QueueRow) -> Option<String> {
    row.paused_until_ms?;
    Some(row.paused_by.as_ref().map_or_else(|| "yes".into(), |by| format!("by {by}")))
}

/// What is wrong with the tube.
pub(super) fn alerts(row: &QueueRow) -> Option<String> {
    let all: Vec<String> = row.alerts.iter().map(crate::verbs::alert).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// As many digits as mean something.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".into(),
        few if few < 10.0 => format!("{few:.2}"),
        many => format!("{many:.0}"),
    }
}

pub(super) fn drain(row: &QueueRow) -> String {
    match row.burden.drain_ms {
        Some(0) => "-".into(),
        Some(ms) => output::ago(ms.div_ceil(1_000)),
        None => "never".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_digits_that_mean_something() {
        assert_eq!([0.0, 0.256, 9.5, 12.4, 1234.0].map(rate), ["0", "0.26", "9.50", "12", "1234"]);
    }
}
