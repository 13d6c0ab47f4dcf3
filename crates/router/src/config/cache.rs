//! `cache` of a route.

use http_cache::{Heuristic, Options, Policy, SetCookie};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A shared cache before the application (RFC 9111), in the router's memory: one for all workers. What is kept, and for how
/// long, the application says in `Cache-Control` or, for this cache alone, in `CDN-Cache-Control`; an empty table asks for no
/// more than that. Requests for what is being fetched share that fetch. `Cache-Status` says what was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Freshness of answers that name none, in percent of the time since they were last modified; 0: none is guessed.
    #[schemars(range(max = 100))]
    pub heuristic_percent: u8,
    /// A guessed freshness is never longer than these seconds.
    #[schemars(range(max = 31_536_000))]
    pub heuristic_s_max: u32,
    /// Seconds for which a stale answer is given while it is fetched anew, where the answer itself says nothing of it.
    #[schemars(range(max = 31_536_000))]
    pub stale_while_revalidate_s: u32,
    /// Seconds for which a stale answer stands in for an application that fails, where the answer itself says nothing of it.
    #[schemars(range(max = 31_536_000))]
    pub stale_if_error_s: u32,
    /// Whether clients may ask for less caching, or for staler answers, in their own `Cache-Control`.
    pub request_directives: bool,
    /// What becomes of answers that set cookies.
    pub set_cookie: CookieCaching,
    /// Whether the order of equally liked languages in `Accept-Language` makes no difference.
    pub language_by_quality: bool,
}

/// What becomes of answers that set cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CookieCaching {
    /// They are never kept.
    Never,
    /// They are kept where the answer names shared caches: `public`, `s-maxage`, `CDN-Cache-Control`.
    #[default]
    WhenShared,
    /// They are kept without the cookies.
    Without,
    /// They are kept like any other.
    Always,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig {
            heuristic_percent: 0,
            heuristic_s_max: 86_400,
            stale_while_revalidate_s: 0,
            stale_if_error_s: 0,
            request_directives: true,
            set_cookie: CookieCaching::default(),
            language_by_quality: false,
        }
    }
}

impl CacheConfig {
    pub(crate) fn policy(&self) -> Policy {
        let heuristic = Heuristic { percent: self.heuristic_percent.into(), lifetime_s_max: self.heuristic_s_max };
        Policy::new(Options {
            heuristic: Some(heuristic).filter(|heuristic| heuristic.percent > 0),
            set_cookie: match self.set_cookie {
                CookieCaching::Never => SetCookie::Never,
                CookieCaching::WhenShared => SetCookie::WhenShared,
                CookieCaching::Without => SetCookie::Without,
                CookieCaching::Always => SetCookie::Always,
            },
            language_by_quality: self.language_by_quality,
            request_directives: self.request_directives,
            stale_while_revalidate_s: self.stale_while_revalidate_s,
            stale_if_error_s: self.stale_if_error_s,
            ..Options::default()
        })
    }
}
