//! How long a response is fresh and how old it is (RFC 9111 section 4.2).

use http::header::{DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use crate::age::{self, Age, DELTA_MAX};
use crate::date;
use crate::directives::Directives;
use crate::options::Options;
use crate::time::UnixMs;

/// Lifetime and age of one response, from which both are known at any later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    pub(crate) lifetime_s: u32,
    /// Whether the response named a lifetime itself.
    pub(crate) explicit: bool,
    /// `corrected_initial_age`
    pub(crate) initial_age_s: u32,
    /// When the response was received.
    pub(crate) at: UnixMs,
}

/// When the exchange with the origin began, and when its response's header section was there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) request: UnixMs,
    pub(crate) response: UnixMs,
}

/// The directives that count, and whether they are from a targeted field: then `Expires` does not count.
#[derive(Clone, Copy)]
pub(crate) struct Effective<'a> {
    pub(crate) directives: &'a Directives,
    pub(crate) targeted: bool,
}

impl Freshness {
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        effective: Effective<'_>,
        options: &Options,
        times: Times,
    ) -> Freshness {
        let now = times.response.seconds();
        let date = field(headers, DATE, now).unwrap_or(now);
        let named = named_lifetime(headers, effective, date, now);
        let guessed = || heuristic_lifetime(status, headers, effective.directives, options, date, now);
        let apparent = clamp(now - date);
        let delay = u32::try_from(times.response.seconds_since(times.request)).unwrap_or(DELTA_MAX);
        let corrected = match age::read(headers, options.age) {
            Age::Absent => delay,
            Age::Seconds(seconds) => seconds.saturating_add(delay),
            Age::Unreadable => DELTA_MAX,
        };
        Freshness {
            lifetime_s: named.unwrap_or_else(guessed),
            explicit: named.is_some(),
            initial_age_s: apparent.max(corrected).min(DELTA_MAX),
            at: times.response,
        }
    }

    pub(crate) fn age_s(self, now: UnixMs) -> u32 {
        let resident = u32::try_from(now.seconds_since(self.at)).unwrap_or(DELTA_MAX);
        self.initial_age_s.saturating_add(resident).min(DELTA_MAX)
    }

    /// Seconds of freshness that are left; how stale it is, as a negative number, when there are none.
    pub(crate) fn left_s(self, now: UnixMs) -> i64 {
        i64::from(self.lifetime_s) - i64::from(self.age_s(now))
    }

    /// The same response, stale from `now` on.
    pub(crate) fn expired(self, now: UnixMs) -> Freshness {
        Freshness { lifetime_s: self.lifetime_s.min(self.age_s(now)), ..self }
    }
}

fn named_lifetime(headers: &HeaderMap, effective: Effective<'_>, date: i64, now: i64) -> Option<u32> {
    let directives = effective.directives;
    let directive = directives.s_maxage.or(directives.max_age);
    if directive.is_some() || effective.targeted {
        return directive;
    }
    let expires = headers.get(EXPIRES)?;
    Some(date::parse(expires.as_bytes(), now).map_or(0, |expires| clamp(expires - date)))
}

fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    options: &Options,
    date: i64,
    now: i64,
) -> u32 {
    let Some(heuristic) = options.heuristic else { return 0 };
    if !directives.public && !is_heuristically_cacheable(status) {
        return 0;
    }
    let Some(modified) = field(headers, LAST_MODIFIED, now) else { return 0 };
    let share = u64::from(clamp(date - modified)) * u64::from(heuristic.percent) / 100;
    u32::try_from(share).unwrap_or(DELTA_MAX).min(heuristic.lifetime_s_max)
}

/// The statuses that RFC 9110 section 15.1 calls heuristically cacheable, without 206: parts are not stored.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// A date field as seconds since 1970.
pub(crate) fn field(headers: &HeaderMap, name: http::HeaderName, now: i64) -> Option<i64> {
    date::parse(headers.get(name)?.as_bytes(), now)
}

fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(DELTA_MAX).min(DELTA_MAX)
}
