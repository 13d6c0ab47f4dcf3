//! What a connection costs that has asked once and is kept alive.

use anyhow::{Context, Result};

use crate::figures::{Figure, round};
use crate::http::Connection;
use crate::server::Server;

/// Connections that idle.
const CONNECTIONS: usize = 1_000;

/// Measures each proxy: resident bytes per idle connection.
pub(super) fn measure(proxies: &[(&'static str, Server)], variant: &str) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, server) in proxies {
        let before = server.resident_bytes();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event queue")?;
        let after = runtime.block_on(async {
            let mut connections = Vec::new();
            for _ in 0..CONNECTIONS {
                let mut connection = Connection::open(server.addr).await.context("cannot connect")?;
                connection.exchange(b"GET /100 HTTP/1.1\r\nHost: bench\r\n\r\n").await.context("no answer")?;
                connections.push(connection);
            }
            anyhow::Ok(server.resident_bytes())
        })?;
        figures.push(Figure {
            bench: "router",
            scenario: "idle".into(),
            variant: variant.into(),
            subject: (*name).into(),
            metric: "bytes_per_connection",
            value: round(after.saturating_sub(before) as f64 / CONNECTIONS as f64, 0),
            ratio: std::collections::BTreeMap::new(),
        });
    }
    Ok(figures)
}
