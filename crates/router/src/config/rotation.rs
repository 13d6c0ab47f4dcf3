//! Which endpoints get requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which endpoints of an upstream are in rotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotationConfig {
    /// When more endpoints per hundred than this look dead to their checks, the checks are not believed: all stay in
    /// rotation, and that is said. 100: never.
    #[schemars(range(max = 100))]
    pub fail_static_percent: u8,
}

impl Default for RotationConfig {
    fn default() -> RotationConfig {
        RotationConfig { fail_static_percent: 50 }
    }
}
