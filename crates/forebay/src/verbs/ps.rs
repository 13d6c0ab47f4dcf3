//! `forebay ps`: what runs, and which plane does not.

use control::wire::{AlertRow, DependencyRow, InstanceRow, Listing, PlaneRow};
use serde::{Deserialize, Serialize};

use stdx::clock::{Clock, SystemClock, Wall};

use crate::args::{Global, PsArgs};
use crate::output::{self, Done};

/// The instances, the planes beside them, and what tubes alert of.
#[derive(Debug, Serialize, Deserialize)]
struct Ps {
    schema: u32,
    items: Vec<InstanceRow>,
    planes: Vec<PlaneRow>,
    dependencies: Vec<DependencyRow>,
    alerts: Vec<AlertRow>,
}

pub(super) async fn run(global: &Global, args: PsArgs) -> Done {
    let client = super::client(global)?;
    let mut instances: Listing<InstanceRow> = client.get("/v1/instances").await?;
    let planes: Listing<PlaneRow> = client.get("/v1/planes").await?;
    let mut dependencies: Listing<DependencyRow> = client.get("/v1/dependencies").await?;
    let mut alerts: Listing<AlertRow> = client.get("/v1/queue/alerts").await?;
    alerts.items.retain(|row| args.app.is_none() || row.app == args.app);
    dependencies.items.retain(|row| args.app.as_ref().is_none_or(|app| row.app == *app));
    instances.items.retain(|row| args.app.as_ref().is_none_or(|app| row.app == *app));
    if global.json {
        let ps = Ps {
            schema: instances.schema,
            items: instances.items,
            planes: planes.items,
            dependencies: dependencies.items,
            alerts: alerts.items,
        };
        return Ok(output::json_line(&ps)?);
    }
    for plane in planes.items.iter().filter(|plane| plane.state != "running") {
        let reason = plane.reason.as_deref().unwrap_or("no reason given");
        output::line(&format!("plane {} is {}: {reason}", plane.plane, plane.state))?;
    }
    for row in &alerts.items {
        let of = row.app.as_ref().map_or_else(|| "shared".into(), ToString::to_string);
        output::line(&format!("alert: tube {} ({of}): {}", row.tube, super::alert(row)))?;
    }
    let header = ["app", "env", "process", "instance", "pid", "port", "release", "state", "health", "up", "isolation"];
    output::table(&header, instances.items.iter().map(cells))?;
    for row in dependencies.items.iter().filter(|row| row.health != "healthy") {
        let reason = row.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let (app, env, dependency) = (&row.app, &row.environment, &row.dependency);
        output::line(&match row.health.as_str() {
            "unhealthy" => format!("{app}/{env} is degraded: it depends on {dependency}, which is down{reason}"),
            "unchecked" => format!(
                "{app}/{env} is degraded: it depends on {dependency}, which nobody has checked for {}",
                output::ago(row.checked_s_ago)
            ),
            _ => format!("{app}/{env} depends on {dependency}, which has not been judged yet"),
        })?;
    }
    for row in instances.items.iter().filter(|row| row.unchecked) {
        let age = output::ago(row.checked_s_ago.unwrap_or_default());
        output::line(&format!("{}: nobody has checked it for {age}", row.instance))?;
    }
    for row in instances.items.iter().filter(|row| row.reason.is_some()) {
        output::line(&format!("{}: {}", row.instance, row.reason.as_deref().unwrap_or_default()))?;
    }
    Ok(())
}

fn cells(row: &InstanceRow) -> Vec<String> {
    let now = SystemClock::new().wall();
    let up = now.since(Wall(row.started_ns)).as_secs();
    let number = |n: u64| if n == 0 { "-".to_string() } else { n.to_string() };
    let health = match row.checked_s_ago {
        Some(age) if age > 5 => format!("{} ({} ago)", row.health, output::ago(age)),
        _ => row.health.clone(),
    };
    let state = if row.restarts == 0 { row.state.clone() } else { format!("{} ({}x)", row.state, row.restarts) };
    vec![
        row.app.to_string(),
        row.environment.to_string(),
        row.process.to_string(),
        row.instance.clone(),
        number(row.pid.into()),
        number(row.port.into()),
        row.release.to_string(),
        state,
        health,
        output::ago(up),
        row.isolation.clone(),
    ]
}
