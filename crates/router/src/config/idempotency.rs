//! `idempotency` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `Idempotency-Key` of POST and PATCH (draft-ietf-httpapi-idempotency-key-header): who sends a request again with its key
/// gets the recorded first answer. A request with a key is tried again like an idempotent one, so the application should
/// honour the key too. Answers 429, 502, 503 and 504 are not recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencyConfig {
    /// How long a first answer is given again.
    #[schemars(range(min = 1))]
    pub ttl_ms: u64,
    /// How long a second request waits while the first is under way; beyond it 409. 0: 409 at once.
    #[schemars(range(max = 3_600_000))]
    pub wait_ms: u32,
    /// Bytes of an answer's content that are recorded; a longer answer is passed on, and who asks again gets 409.
    #[schemars(range(max = 16_777_216))]
    pub reply_bytes_max: u32,
    /// Whether the application has one effect for one key by itself: then requests with a key may be hedged.
    pub app_honours_key: bool,
}

impl Default for IdempotencyConfig {
    fn default() -> IdempotencyConfig {
        IdempotencyConfig { ttl_ms: 86_400_000, wait_ms: 10_000, reply_bytes_max: 256 << 10, app_honours_key: false }
    }
}
