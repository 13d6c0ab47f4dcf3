//! `fragments` of a route.

use esi::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pages that are put together of fragments (Edge Side Includes, ESI 1.0). The application is asked for content without a
/// coding, without ranges and without conditions, since what it has of a page is not what a client gets; so give assets a route
/// of their own. What goes out says `Cache-Control: private, no-cache` and has no validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FragmentsConfig {
    /// Media types of pages. Parameters do not count.
    #[schemars(length(min = 1, max = 100))]
    pub types: Vec<String>,
    /// Whether only replies are pages that say `Surrogate-Control: content="ESI/1.0"`.
    pub marked_only: bool,
    /// Fragments within fragments; what is beyond is left out.
    #[schemars(range(min = 1, max = 10))]
    pub depth_max: u8,
    /// Fragments of a page, with those within fragments; what is beyond is left out.
    #[schemars(range(min = 1, max = 1_000))]
    pub count_max: u16,
    /// Fragments of a page that are fetched at once; the others wait for their turn.
    #[schemars(range(min = 1, max = 1_000))]
    pub parallel_max: u16,
    /// Bytes of a page and its fragments that wait to be sent. The page is read no further at half of it; of fragments what is
    /// beyond is left out.
    pub bytes_max: u64,
    /// Bytes of one fragment; a longer one has failed.
    pub fragment_bytes_max: u64,
    /// Without `maxwait` a fragment is waited for until the rest of its page is ready, and never longer than this.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub wait_ms_max: u32,
    /// No fragment without `maxwait` is left out sooner than this after its start.
    #[schemars(range(max = 3_600_000))]
    pub wait_ms_min: u32,
    /// The last fragment may be so much slower than the rest of its page.
    #[schemars(range(max = 3_600_000))]
    pub grace_ms: u32,
    /// A fragment is fetched for so long, also when its page has gone without it, and whatever its `maxwait`.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub fetch_ms_max: u32,
}

impl Default for FragmentsConfig {
    fn default() -> FragmentsConfig {
        FragmentsConfig {
            types: vec![String::from("text/html")],
            marked_only: false,
            depth_max: 3,
            count_max: 64,
            parallel_max: 16,
            bytes_max: 8 << 20,
            fragment_bytes_max: 1 << 20,
            wait_ms_max: 1_000,
            wait_ms_min: 30,
            grace_ms: 10,
            fetch_ms_max: 10_000,
        }
    }
}

impl FragmentsConfig {
    /// In the terms of the crate that assembles.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            depth_max: self.depth_max,
            fragments_max: self.count_max.into(),
            bytes_max: usize::try_from(self.bytes_max).unwrap_or(usize::MAX),
            wait_ms_max: self.wait_ms_max.into(),
            wait_ms_min: self.wait_ms_min.into(),
            grace_ms: self.grace_ms.into(),
            ..Limits::default()
        }
    }
}
