//! What `breaker`, `degrade` and `fault` have in common: asking the router, and saying what it did.

use std::time::Duration;

use bytes::Bytes;
use control::client::{Client, body};
use control::error::{ApiError, Kind};
use control::wire::Listing;
use control::wire::router::{AuditRow, OverrideRequest, OverrideRow, Setting};
use http::Method;
use stdx::clock::{Clock, SystemClock, Wall};

use crate::args::Global;
use crate::output::{self, Done};

/// Sets something and says so.
pub(super) async fn set(global: &Global, setting: Setting, lasts: Option<Duration>, why: Option<String>) -> Done {
    let for_ms = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let request = OverrideRequest { setting, for_ms, why };
    let json = serde_json::to_vec(&request).map_err(std::io::Error::from)?;
    let client = super::client(global)?;
    let row: OverrideRow = client.json(Method::POST, "/v1/router/overrides", body(json)).await?;
    if global.json {
        return Ok(output::json_line(&row)?);
    }
    output::progress(&format!("{}: {}, {}", row.id, row.setting, until(row.until_ns)));
    Ok(())
}

/// Takes back everything that `which` says yes to and says so.
pub(super) async fn clear(
    global: &Global,
    which: impl Fn(&OverrideRow) -> bool,
    why: Option<String>,
    none: ApiError,
) -> Done {
    let client = super::client(global)?;
    let mut cleared = Vec::new();
    for row in rows(&client).await?.items.into_iter().filter(which) {
        let path = format!("/v1/router/overrides/{}{}", row.id, super::query(&[("why", why.clone())]));
        let row: OverrideRow = client.json(Method::DELETE, &path, body(Bytes::new())).await?;
        if !global.json {
            output::progress(&format!("{}: {}, taken back", row.id, row.setting));
        }
        cleared.push(row);
    }
    if cleared.is_empty() {
        return Err(none.into());
    }
    if global.json {
        return Ok(output::json_line(&Listing::new(cleared))?);
    }
    Ok(())
}

/// Nothing is set that could be taken back.
pub(super) fn nothing_set(what: String) -> ApiError {
    ApiError::new(Kind::NotFound, "no_such_override", format!("nothing is set by hand for {what}"))
}

/// Lists what stands and `which` says yes to.
pub(super) async fn list(global: &Global, which: impl Fn(&OverrideRow) -> bool) -> Done {
    let mut rows = rows(&super::client(global)?).await?;
    rows.items.retain(which);
    let now = SystemClock::new().wall();
    Ok(output::listing(&rows, global.json, &["id", "what", "since", "ends", "who", "why"], |row| {
        vec![
            row.id.to_string(),
            row.setting.to_string(),
            format!("{} ago", output::ago(now.since(Wall(row.since_ns)).as_secs())),
            row.until_ns
                .map_or_else(|| "-".into(), |until| format!("in {}", output::ago(Wall(until).since(now).as_secs()))),
            row.who.clone(),
            row.why.clone().unwrap_or_else(|| "-".into()),
        ]
    })?)
}

/// Lists who set and took back what.
pub(super) async fn log(global: &Global) -> Done {
    let rows: Listing<AuditRow> = super::client(global)?.get("/v1/router/audit").await?;
    Ok(output::listing(&rows, global.json, &["time", "id", "action", "what", "who", "why"], |row| {
        vec![
            output::local_time(row.time_ns),
            row.id.to_string(),
            row.action.word().into(),
            row.setting.to_string(),
            row.who.clone(),
            row.why.clone().unwrap_or_else(|| "-".into()),
        ]
    })?)
}

async fn rows(client: &Client) -> Result<Listing<OverrideRow>, ApiError> {
    client.get("/v1/router/overrides").await
}

fn until(until_ns: Option<u64>) -> String {
    until_ns.map_or_else(|| "until it is set otherwise".into(), |ns| format!("until {}", output::local_time(ns)))
}
