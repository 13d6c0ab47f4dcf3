//! `hedge` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A second try beside a first one that has not answered: on another endpoint, for requests that may be repeated, paid
/// from the upstream's budget. The first answer counts. Without `delay_ms` it goes out when most answers would have been
/// there. The text "always" in place of the table is `delay_ms = 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "string"], "format" = "hedge"))]
pub struct HedgeConfig {
    /// Time that the first try is alone, fixed.
    #[schemars(range(max = 3_600_000))]
    pub delay_ms: Option<u32>,
    /// Without `delay_ms`: the share of the route's successful answers of the last fifteen seconds, in percent, that must
    /// have taken less time. With fewer than 100 answers nothing is hedged.
    #[schemars(range(min = 50, max = 99))]
    pub percentile: u8,
    /// Without `delay_ms`: the least time that the first try is alone.
    #[schemars(range(max = 3_600_000))]
    pub floor_ms: u32,
}

impl Default for HedgeConfig {
    fn default() -> HedgeConfig {
        HedgeConfig { delay_ms: None, percentile: 95, floor_ms: 2 }
    }
}

impl HedgeConfig {
    /// The text that stands for a hedge with each request.
    pub const ALWAYS: &str = "always";

    /// A hedge with each request, at once.
    pub fn always() -> HedgeConfig {
        HedgeConfig { delay_ms: Some(0), ..HedgeConfig::default() }
    }
}

/// Reads `"always"` or a table.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HedgeConfig>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(String),
        Table(HedgeConfig),
    }
    match Option::<Written>::deserialize(from)? {
        None => Ok(None),
        Some(Written::Table(table)) => Ok(Some(table)),
        Some(Written::Word(word)) if word == HedgeConfig::ALWAYS => Ok(Some(HedgeConfig::always())),
        Some(Written::Word(word)) => Err(serde::de::Error::custom(format!("hedge is {word:?}, not \"always\""))),
    }
}
