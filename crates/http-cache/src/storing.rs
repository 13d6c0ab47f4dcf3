//! Whether a response is stored (RFC 9111 section 3), and what is stored of it.

use http::header::{AUTHORIZATION, CONTENT_LOCATION, DATE, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use crate::directives::Directives;
use crate::freshness::{self, Effective, Freshness, Times};
use crate::options::{Options, SetCookie};
use crate::policy::{Policy, Request, Response};
use crate::stored::{Rules, Stored, set};
use crate::time::UnixMs;
use crate::vary::Selection;
use crate::{etag, fields, invalidate, targeted};

/// What [`Policy::on_response`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storing {
    /// It is stored once its body is complete.
    Store(Box<Stored>),
    /// It is only passed on.
    Pass(WhyNot),
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Neither GET nor a POST whose answer says that it is the page itself.
    Method,
    /// Not final, a part, an answer to a condition, or not understood where that is demanded.
    Status,
    /// The response, or the request, forbids it.
    NoStore,
    /// For one user.
    Private,
    /// The request was authenticated and the response does not allow sharing.
    Authorization,
    /// `Vary: *`
    Vary,
    /// It sets a cookie; see [`SetCookie`].
    SetCookie,
    /// It could never be used: not fresh and without a validator.
    Useless,
}

impl WhyNot {
    /// One word for a `Cache-Status` detail or a record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            WhyNot::Method => "method",
            WhyNot::Status => "status",
            WhyNot::NoStore => "no-store",
            WhyNot::Private => "private",
            WhyNot::Authorization => "authorization",
            WhyNot::Vary => "vary",
            WhyNot::SetCookie => "set-cookie",
            WhyNot::Useless => "not-fresh",
        }
    }
}

impl Policy {
    /// Decides about a final response from the origin. `asked` is when the request was sent, `now` when the header section
    /// of the response arrived. The stored response lacks the length of its content, see [`Stored::set_body_bytes`].
    #[must_use]
    pub fn on_response(&self, request: &Request<'_>, response: &Response<'_>, asked: UnixMs, now: UnixMs) -> Storing {
        let times = Times { request: asked, response: now };
        let directives = Directed::of(response.headers, self.options());
        if let Some(why) = self.forbidden(request, response, &directives) {
            return Storing::Pass(why);
        }
        let options = self.options();
        let Some(selection) = Selection::new(response.headers, request.headers, options.language_by_quality) else {
            return Storing::Pass(WhyNot::Vary);
        };
        let stored = make(response.status, response.headers.clone(), selection, &directives, options, times);
        match self.of_use(request, &stored) {
            Ok(()) => Storing::Store(Box::new(stored)),
            Err(why) => Storing::Pass(why),
        }
    }

    /// What forbids storing, whatever the freshness.
    pub(crate) fn forbidden(&self, request: &Request<'_>, response: &Response<'_>, of: &Directed) -> Option<WhyNot> {
        let directives = &of.directives;
        let status = response.status;
        let final_and_whole =
            status.as_u16() >= 200 && !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
        let understood = is_understood(status);
        if !final_and_whole || directives.must_understand && !understood {
            return Some(WhyNot::Status);
        }
        let asked_not_to = self.asks(request.headers).no_store;
        if asked_not_to || directives.no_store && !(directives.must_understand && understood) {
            return Some(WhyNot::NoStore);
        }
        if directives.private {
            return Some(WhyNot::Private);
        }
        let shareable = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
        if request.headers.contains_key(AUTHORIZATION) && !shareable {
            return Some(WhyNot::Authorization);
        }
        let named = directives.public || directives.s_maxage.is_some() || of.targeted;
        let cookie = match self.options().set_cookie {
            SetCookie::Never => true,
            SetCookie::WhenShared => !named,
            SetCookie::Without | SetCookie::Always => false,
        };
        (cookie && response.headers.contains_key(SET_COOKIE)).then_some(WhyNot::SetCookie)
    }

    fn of_use(&self, request: &Request<'_>, stored: &Stored) -> Result<(), WhyNot> {
        let freshness = stored.freshness;
        if request.method == Method::POST {
            let location = stored.headers.get(CONTENT_LOCATION).map(http::HeaderValue::as_bytes);
            let itself = location.and_then(|location| invalidate::resolve(request, location));
            let is_the_page = itself.is_some_and(|target| target == request.target);
            let fit = is_the_page && freshness.explicit && freshness.lifetime_s > 0;
            return if fit { Ok(()) } else { Err(WhyNot::Method) };
        }
        if request.method != Method::GET {
            return Err(WhyNot::Method);
        }
        let validator = stored.modified.is_some() || etag::of(&stored.headers).is_some();
        // Understood or not, a status without named freshness may only be stored where RFC 9110 says so.
        let storable = freshness.explicit || freshness::is_heuristically_cacheable(stored.status);
        let useful = freshness.lifetime_s > 0 || storable && (validator || stored.rules.stale_s > 0);
        if useful { Ok(()) } else { Err(WhyNot::Useless) }
    }
}

/// The directives that count for this cache.
pub(crate) struct Directed {
    pub(crate) directives: Directives,
    pub(crate) targeted: bool,
}

impl Directed {
    pub(crate) fn of(headers: &HeaderMap, options: &Options) -> Directed {
        let field = options.targeted.iter().find_map(|name| targeted::parse_targeted(headers, name));
        let targeted = field.is_some();
        Directed { directives: field.unwrap_or_else(|| Directives::of_response(headers)), targeted }
    }
}

/// Puts together what is stored.
pub(crate) fn make(
    status: StatusCode,
    mut headers: HeaderMap,
    selection: Selection,
    of: &Directed,
    options: &Options,
    times: Times,
) -> Stored {
    let effective = Effective { directives: &of.directives, targeted: of.targeted };
    let freshness = Freshness::of(status, &headers, effective, options, times);
    fields::strip(&mut headers);
    for name in &of.directives.fields {
        headers.remove(name);
    }
    if options.set_cookie == SetCookie::Without {
        headers.remove(SET_COOKIE);
    }
    if !headers.contains_key(DATE) {
        set(&mut headers, DATE, &httpdate::fmt_http_date(times.response.system_time()));
    }
    let directives = &of.directives;
    Stored {
        status,
        modified: freshness::field(&headers, LAST_MODIFIED, times.response.seconds()),
        headers,
        selection,
        freshness,
        rules: Rules {
            always_ask: directives.no_cache,
            never_stale: directives.must_revalidate || directives.proxy_revalidate,
            stale_if_named: directives.s_maxage.is_some(),
            stale_while_revalidate_s: directives.stale_while_revalidate,
            stale_if_error_s: directives.stale_if_error,
            stale_s: stale_s(directives, options),
        },
        body_bytes: 0,
    }
}

/// For how long a stale response may answer: while it is fetched anew, or when that fails.
fn stale_s(directives: &Directives, options: &Options) -> u32 {
    if directives.no_cache || directives.must_revalidate || directives.proxy_revalidate {
        return 0;
    }
    let unnamed = |seconds| if directives.s_maxage.is_some() { 0 } else { seconds };
    let anew = directives.stale_while_revalidate.unwrap_or(unnamed(options.stale_while_revalidate_s));
    anew.max(directives.stale_if_error.unwrap_or(unnamed(options.stale_if_error_s)))
}

/// The final statuses whose meaning for caches this crate knows.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 511)
}
