//! What an answer of the queue promises, per tube.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a change to a tube's jobs is acknowledged, and so what a crash may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Durability {
    /// `disk`: once it is on disk. Nothing that was acknowledged is lost.
    #[default]
    Disk,
    /// `interval:50ms`: at once, and it is on disk so many milliseconds later. A power cut costs at most what was acknowledged
    /// in that time, a crash of the process what was not yet written.
    Interval {
        /// Milliseconds, 1 to 60000.
        ms: u32,
    },
    /// `unsynced`: at once, and nobody says when it is on disk.
    Unsynced,
    /// `memory`: at once, and it never goes to disk. A restart costs all of it.
    Memory,
}

/// The longest interval.
pub const INTERVAL_MS_MAX: u32 = 60_000;

/// Text that names no durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("durability is `disk`, `interval:50ms` (1 to {INTERVAL_MS_MAX} ms), `unsynced` or `memory`")]
pub struct NoDurability;

impl FromStr for Durability {
    type Err = NoDurability;

    fn from_str(text: &str) -> Result<Durability, NoDurability> {
        match text {
            "disk" => Ok(Durability::Disk),
            "unsynced" => Ok(Durability::Unsynced),
            "memory" => Ok(Durability::Memory),
            _ => {
                let ms = text.strip_prefix("interval:").and_then(|rest| rest.strip_suffix("ms")).ok_or(NoDurability)?;
                let ms = ms.parse().ok().filter(|ms| (1..=INTERVAL_MS_MAX).contains(ms)).ok_or(NoDurability)?;
                Ok(Durability::Interval { ms })
            }
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Disk => f.write_str("disk"),
            Durability::Interval { ms } => write!(f, "interval:{ms}ms"),
            Durability::Unsynced => f.write_str("unsynced"),
            Durability::Memory => f.write_str("memory"),
        }
    }
}

impl TryFrom<String> for Durability {
    type Error = NoDurability;

    fn try_from(text: String) -> Result<Durability, NoDurability> {
        text.parse()
    }
}

impl From<Durability> for String {
    fn from(durability: Durability) -> String {
        durability.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["disk", "interval:50ms", "interval:60000ms", "unsynced", "memory"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for text in ["", "Disk", "interval", "interval:0ms", "interval:60001ms", "interval:5s", "interval:5"] {
            assert_eq!(text.parse::<Durability>(), Err(NoDurability), "{text}");
        }
    }
}
