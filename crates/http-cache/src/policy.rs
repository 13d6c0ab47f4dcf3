//! What becomes of a request: the public machine.

use std::ops::Range;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, Method, StatusCode};

use crate::conditional::{self, Conditions};
use crate::directives::Directives;
use crate::options::Options;
use crate::stored::Stored;
use crate::time::UnixMs;

/// A request as the cache sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Case-sensitive, as everywhere in HTTP.
    pub method: &'a Method,
    /// `http` or `https`
    pub scheme: &'a str,
    /// Host, and port where it is not the scheme's.
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Header fields as received.
    pub headers: &'a HeaderMap,
}

/// The header section of a response.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Header fields as received.
    pub headers: &'a HeaderMap,
}

/// RFC 9111 for one shared cache. It holds nothing but its [`Options`].
#[derive(Clone, Debug, Default)]
pub struct Policy {
    options: Options,
}

/// What [`Policy::on_request`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The stored response answers.
    Fresh(Hit),
    /// The stored response answers, and is revalidated meanwhile with these conditions.
    StaleWhileRevalidate(Hit, Conditions),
    /// The origin is asked, with conditions that let it say that what is stored still holds.
    Revalidate(Conditions, Forward),
    /// The origin is asked for the response.
    Miss(Forward),
    /// The cache has no part in this request.
    Bypass(Bypass),
    /// The client wants nothing that is not here: 504.
    OnlyIfCached,
}

/// Why a request goes to the origin, as `Cache-Status` names it (RFC 9211 section 2.2), and whether it may be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Nothing is stored for this URL.
    UriMiss,
    /// What is stored for this URL does not fit the request.
    VaryMiss,
    /// What is stored is stale, or may not be used without asking.
    Stale,
    /// The request asks for it.
    Request,
    /// Nothing whole is stored, and the request is for a part: it is forwarded as it is and not shared.
    Partial,
    /// A HEAD that nothing stored answers: it is forwarded as it is and not shared.
    Head,
}

impl Forward {
    /// Whether one fetch may answer other requests too: it asks for the whole, without the client's conditions.
    #[must_use]
    pub fn is_shared(self) -> bool {
        !matches!(self, Forward::Partial | Forward::Head)
    }
}

/// Why the cache has no part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// Neither GET nor HEAD.
    Method,
    /// `no-store` in the request.
    NoStore,
    /// `If-Match` or `If-Unmodified-Since` that what is stored does not satisfy for sure: only the origin can say 412.
    Precondition,
}

/// An answer from a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which of the stored responses.
    pub variant: usize,
    /// For the `Age` field.
    pub age_s: u32,
    /// Freshness that is left, for `Cache-Status`; negative when stale.
    pub left_s: i64,
    /// What is sent of it.
    pub answer: Answer,
}

/// What of a stored response is sent. For a HEAD request only its header section is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of it.
    Whole,
    /// 304: the client has it already.
    NotModified,
    /// 206: these bytes of the body.
    Range(Range<u64>),
    /// 416
    Unsatisfiable,
}

/// Whether a stored response may answer now.
enum Use {
    Yes,
    WhileRevalidating,
    No(Forward),
}

impl Policy {
    /// A policy with these choices.
    #[must_use]
    pub fn new(options: Options) -> Policy {
        Policy { options }
    }

    /// The choices.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Decides about a request; `stored` is all that is stored for its URL, newest first.
    #[must_use]
    pub fn on_request<T: AsRef<Stored>>(&self, request: &Request<'_>, stored: &[T], now: UnixMs) -> Decision {
        let is_head = request.method == Method::HEAD;
        if !is_head && request.method != Method::GET {
            return Decision::Bypass(Bypass::Method);
        }
        let asks = self.asks(request.headers);
        if asks.no_store {
            return Decision::Bypass(Bypass::NoStore);
        }
        let for_origin = request.headers.contains_key(IF_MATCH) || request.headers.contains_key(IF_UNMODIFIED_SINCE);
        let selected = self.select(request, stored);
        let forward = match selected {
            Some(variant) => {
                let candidate = stored[variant].as_ref();
                match self.usable(candidate, &asks, now) {
                    Use::Yes if !for_origin || conditional::holds(request.headers, candidate, now) => {
                        return Decision::Fresh(hit(request, variant, candidate, now));
                    }
                    Use::WhileRevalidating if !for_origin && !is_head => {
                        let conditions = Conditions::of(candidate);
                        return Decision::StaleWhileRevalidate(hit(request, variant, candidate, now), conditions);
                    }
                    Use::Yes | Use::WhileRevalidating => Forward::Stale,
                    Use::No(forward) => forward,
                }
            }
            None if stored.is_empty() => Forward::UriMiss,
            None => Forward::VaryMiss,
        };
        if asks.only_if_cached {
            return Decision::OnlyIfCached;
        }
        if for_origin {
            return Decision::Bypass(Bypass::Precondition);
        }
        if is_head {
            return Decision::Miss(Forward::Head);
        }
        let conditions = match selected {
            Some(variant) => Conditions::of(stored[variant].as_ref()),
            None => Conditions::of_any(stored),
        };
        let ranged = request.headers.contains_key(RANGE);
        match conditions.is_empty() {
            _ if ranged && selected.is_none() => Decision::Miss(Forward::Partial),
            true => Decision::Miss(forward),
            false => Decision::Revalidate(conditions, forward),
        }
    }

    /// Whether the request selects this response by the fields that it varies by, fresh or not.
    #[must_use]
    pub fn selects(&self, request: &Request<'_>, stored: &Stored) -> bool {
        stored.selection.matches(&stored.headers, request.headers, self.options.language_by_quality)
    }

    /// An answer for `request` from a response that was just fetched or just revalidated for it.
    #[must_use]
    pub fn answer(&self, request: &Request<'_>, variant: usize, stored: &Stored, now: UnixMs) -> Hit {
        hit(request, variant, stored, now)
    }

    /// Whether a stale response may stand in now that the origin cannot be reached or fails (see
    /// [`Policy::is_failure`]).
    #[must_use]
    pub fn on_failure<T: AsRef<Stored>>(&self, request: &Request<'_>, stored: &[T], now: UnixMs) -> Option<Hit> {
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        let variant = self.select(request, stored).filter(|_| is_read)?;
        let candidate = stored[variant].as_ref();
        let rules = candidate.rules;
        if rules.always_ask || rules.never_stale {
            return None;
        }
        let unnamed = if rules.stale_if_named { 0 } else { self.options.stale_if_error_s };
        let asked = self.asks(request.headers).stale_if_error.filter(|_| !rules.stale_if_named);
        let window = rules.stale_if_error_s.unwrap_or(unnamed).max(asked.unwrap_or(0));
        let left = candidate.left_s(now);
        (left > 0 || -left < i64::from(window)).then(|| hit(request, variant, candidate, now))
    }

    /// The statuses that `stale-if-error` takes for a failure (RFC 5861 section 4).
    #[must_use]
    pub fn is_failure(status: StatusCode) -> bool {
        matches!(status.as_u16(), 500 | 502 | 503 | 504)
    }

    /// What the client asks of caches.
    pub(crate) fn asks(&self, headers: &HeaderMap) -> Directives {
        if self.options.request_directives { Directives::of_request(headers) } else { Directives::default() }
    }

    /// The stored response that the request selects, without regard to its freshness.
    pub(crate) fn select<T: AsRef<Stored>>(&self, request: &Request<'_>, stored: &[T]) -> Option<usize> {
        stored.iter().position(|stored| self.selects(request, stored.as_ref()))
    }

    fn usable(&self, stored: &Stored, asks: &Directives, now: UnixMs) -> Use {
        let rules = stored.rules;
        if rules.always_ask {
            return Use::No(Forward::Stale);
        }
        let age = stored.age_s(now);
        if asks.no_cache || asks.max_age.is_some_and(|max_age| age > max_age) {
            return Use::No(Forward::Request);
        }
        let left = stored.left_s(now);
        if left > 0 {
            let wanted = i64::from(asks.min_fresh.unwrap_or(0));
            return if left >= wanted { Use::Yes } else { Use::No(Forward::Request) };
        }
        if rules.never_stale {
            return Use::No(Forward::Stale);
        }
        if !rules.stale_if_named && asks.max_stale.is_some_and(|bound| -left <= i64::from(bound)) {
            return Use::Yes;
        }
        let unnamed = if rules.stale_if_named { 0 } else { self.options.stale_while_revalidate_s };
        let window = i64::from(rules.stale_while_revalidate_s.unwrap_or(unnamed));
        // Whoever names a largest age does not want a stale answer.
        if -left < window && asks.max_age.is_none() && asks.min_fresh.is_none() {
            return Use::WhileRevalidating;
        }
        Use::No(Forward::Stale)
    }
}

fn hit(request: &Request<'_>, variant: usize, stored: &Stored, now: UnixMs) -> Hit {
    let answer = conditional::answer(request, stored, now);
    Hit { variant, age_s: stored.age_s(now), left_s: stored.left_s(now), answer }
}
