//! `[router.http2]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// HTTP/2 from clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http2Config {
    /// Whether it is spoken: with TLS to clients that offer it (ALPN), without TLS to those that begin with it (prior
    /// knowledge).
    pub enabled: bool,
    /// Connections that speak it at once, each of which may hold 64 KiB of contents that nobody takes; beyond it they are
    /// closed.
    #[schemars(range(min = 1))]
    pub connections_max: u32,
    /// Requests of one connection under way at once; beyond it they are refused, to be sent again.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams_max: u32,
    /// Requests under way at once over all connections, each of which may have a header block of `header_bytes_max`; beyond
    /// it they are refused, to be sent again.
    #[schemars(range(min = 1))]
    pub requests_max: u32,
    /// Frames of one connection that carry no request forward (settings, pings, priorities, window updates, empty pieces),
    /// beyond those that its requests and replies pay for; a tenth comes back each second. Beyond it the connection is closed.
    #[schemars(range(min = 100))]
    pub idle_frames_max: u32,
    /// Requests of one connection that its client takes back, beyond those that were answered; a tenth comes back each
    /// second. Beyond it the connection is closed.
    #[schemars(range(min = 10))]
    pub resets_max: u32,
}

impl Default for Http2Config {
    fn default() -> Http2Config {
        Http2Config {
            enabled: true,
            connections_max: 2_000,
            streams_max: 128,
            requests_max: 2_000,
            idle_frames_max: 1_000,
            resets_max: 200,
        }
    }
}
