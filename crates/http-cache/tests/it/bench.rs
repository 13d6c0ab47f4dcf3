//! One exchange with the origin at [`T0`], then one question some seconds later.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_cache::{Decision, Heuristic, Options, Policy, Request, Response, Stored, Storing, UnixMs};

/// The instant of the first exchange, in seconds since 1970.
pub(crate) const T0: u64 = 1_795_000_000;

/// Header fields; `@-30` stands for the HTTP date 30 s before [`T0`].
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn at(seconds: u64) -> UnixMs {
    UnixMs((T0 + seconds) * 1000)
}

pub(crate) fn date(offset: i64) -> String {
    let seconds = T0.checked_add_signed(offset).unwrap();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

pub(crate) fn fields(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value =
            value.strip_prefix('@').map_or_else(|| (*value).to_string(), |offset| date(offset.parse().unwrap()));
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

pub(crate) fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, scheme: "http", authority: "a.example", target: "/page?x=1", headers }
}

/// A policy under test.
pub(crate) struct Bench(pub(crate) Policy);

pub(crate) fn bench() -> Bench {
    Bench(Policy::default())
}

pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Bench {
    let mut options = Options::default();
    change(&mut options);
    Bench(Policy::new(options))
}

pub(crate) fn guessing() -> Bench {
    with(|options| options.heuristic = Some(Heuristic { percent: 10, lifetime_s_max: 86_400 }))
}

impl Bench {
    /// Whether an answer to a GET is stored.
    pub(crate) fn storing(&self, request: Fields<'_>, status: u16, response: Fields<'_>) -> Storing {
        let (request, headers) = (fields(request), fields(response));
        let response = Response { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
        self.0.on_response(&get(&request), &response, at(0), at(0))
    }

    /// A stored 200 of ten bytes.
    pub(crate) fn stored(&self, request: Fields<'_>, response: Fields<'_>) -> Stored {
        self.stored_as(200, request, response)
    }

    pub(crate) fn stored_as(&self, status: u16, request: Fields<'_>, response: Fields<'_>) -> Stored {
        match self.storing(request, status, response) {
            Storing::Store(mut stored) => {
                stored.set_body_bytes(10);
                *stored
            }
            Storing::Pass(why) => panic!("not stored: {why:?}: {response:?}"),
        }
    }

    pub(crate) fn ask(&self, stored: &[Stored], seconds: u64, request: Fields<'_>) -> Decision {
        self.0.on_request(&get(&fields(request)), stored, at(seconds))
    }

    /// What becomes of a plain GET some seconds after a 200 with these fields: `pass`, or the decision's name.
    pub(crate) fn then(&self, response: Fields<'_>, seconds: u64) -> &'static str {
        self.then_asked(response, seconds, &[])
    }

    pub(crate) fn then_asked(&self, response: Fields<'_>, seconds: u64, request: Fields<'_>) -> &'static str {
        match self.storing(&[], 200, response) {
            Storing::Pass(_) => "pass",
            Storing::Store(stored) => name(&self.ask(&[*stored], seconds, request)),
        }
    }
}

pub(crate) fn name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Fresh(_) => "fresh",
        Decision::StaleWhileRevalidate(..) => "stale-while-revalidate",
        Decision::Revalidate(..) => "revalidate",
        Decision::Miss(_) => "miss",
        Decision::Bypass(_) => "bypass",
        Decision::OnlyIfCached => "only-if-cached",
    }
}
