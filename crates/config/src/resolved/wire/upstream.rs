//! What version 1 says about upstreams.

use router::config::{BudgetConfig, RotationConfig, UpstreamPolicy};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Upstream {
    budget: Budget,
    rotation: Rotation,
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Rotation {
    fail_static_percent: u8,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { fail_static_percent: 50 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Budget {
    percent: u8,
    floor_per_s: u16,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { percent: 10, floor_per_s: 20 }
    }
}

impl From<&UpstreamPolicy> for Upstream {
    fn from(from: &UpstreamPolicy) -> Upstream {
        let UpstreamPolicy { budget: BudgetConfig { percent, floor_per_s }, rotation } = from.clone();
        let RotationConfig { fail_static_percent } = rotation;
        Upstream { budget: Budget { percent, floor_per_s }, rotation: Rotation { fail_static_percent } }
    }
}

impl From<Upstream> for UpstreamPolicy {
    fn from(from: Upstream) -> UpstreamPolicy {
        let Upstream { budget: Budget { percent, floor_per_s }, rotation: Rotation { fail_static_percent } } = from;
        let rotation = RotationConfig { fail_static_percent };
        UpstreamPolicy { budget: BudgetConfig { percent, floor_per_s }, rotation }
    }
}
