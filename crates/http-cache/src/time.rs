//! Wall time as the policy takes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. A caller whose wall clock may jump adds monotonic time to one reading of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }

    /// Whole seconds from `earlier` to this; 0 when `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: UnixMs) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// As the standard library's type.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

impl From<SystemTime> for UnixMs {
    /// A time before 1970 becomes 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
