//! How a router alone looks up the names of its upstreams.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How names are looked up. An answer holds for its time to live, within bounds; when the next one fails, or names nobody,
/// the last one holds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsConfig {
    /// The servers, instead of those in `/etc/resolv.conf`.
    #[schemars(with = "Vec<ServerAddr>", extend("maxItems" = 3))]
    pub servers: Vec<SocketAddr>,
    /// Time for one server's answer; each is asked twice.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u32,
    /// An answer holds at least this long, whatever it says; also the wait after a failure, which doubles.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub ttl_floor_ms: u32,
    /// An answer holds at most this long, whatever it says.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub ttl_ceiling_ms: u32,
    /// Endpoints that one name may have; the others are left out, and that is said.
    #[schemars(range(min = 1, max = 10_000))]
    pub endpoints_max: u16,
}

/// A server's address in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "socket-address"))]
#[expect(dead_code, reason = "only its schema is used")]
struct ServerAddr(String);

impl Default for DnsConfig {
    fn default() -> DnsConfig {
        DnsConfig {
            servers: Vec::new(),
            timeout_ms: 1_000,
            ttl_floor_ms: 1_000,
            ttl_ceiling_ms: 300_000,
            endpoints_max: 256,
        }
    }
}

impl DnsConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn floor(&self) -> Duration {
        Duration::from_millis(self.ttl_floor_ms.into())
    }

    pub(crate) fn ceiling(&self) -> Duration {
        Duration::from_millis(self.ttl_ceiling_ms.into()).max(self.floor())
    }
}
