//! `read_your_writes` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who has written reads what it wrote. Requests that are not GET, HEAD or OPTIONS go to the primary; the answer carries a
/// signed cookie. Where the application says `Forebay-Wrote: DB@POSITION` in its answer, reads of that client go to endpoints
/// that have reported that position, and to the primary while none has; else they go to the primary for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnWritesConfig {
    /// The upstream, or in a manifest the process, that takes writes.
    pub primary: String,
    /// Time after a write without a position in which its client reads from the primary.
    #[serde(default = "window_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub window_ms: u32,
    /// Time after a write with a position in which copies are asked for it; later all have it.
    #[serde(default = "position_window_ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub position_window_ms: u32,
    /// How long a read waits for a copy to come to the position before it goes to the primary.
    #[serde(default = "wait_ms")]
    #[schemars(range(max = 60_000))]
    pub wait_ms: u32,
}

fn window_ms() -> u32 {
    2_000
}

fn position_window_ms() -> u32 {
    600_000
}

fn wait_ms() -> u32 {
    50
}
