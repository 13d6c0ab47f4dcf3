//! What an answer without a body changes in what is stored: a 304 (RFC 9111 section 4.3.4) and a HEAD (section 4.3.5).

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::freshness::Times;
use crate::policy::{Policy, Request, Response};
use crate::stored::Stored;
use crate::storing::{self, Directed};
use crate::time::UnixMs;
use crate::vary::Selection;
use crate::{etag, fields};

/// What a 304 makes of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// Which of the stored responses it confirms.
    pub variant: usize,
    /// That response with the new fields; its content is the same.
    pub stored: Box<Stored>,
    /// Whether it stays in the cache. Otherwise it answers this request and is then removed.
    pub keep: bool,
}

/// What the answer to a HEAD makes of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It says nothing of what is stored.
    Nothing,
    /// The stored response holds, with new fields.
    Refreshed(Refreshed),
    /// The origin has another content now: the stored response is removed.
    Gone(usize),
}

impl Policy {
    /// Takes in a 304 to a request that carried our conditions. `None` when it confirms nothing that is stored: then the
    /// request is sent again without conditions.
    #[must_use]
    pub fn on_304<T: AsRef<Stored>>(
        &self,
        request: &Request<'_>,
        stored: &[T],
        headers: &HeaderMap,
        asked: UnixMs,
        now: UnixMs,
    ) -> Option<Refreshed> {
        let selected = self.select(request, stored);
        let tag = etag::of(headers).map(HeaderValue::as_bytes).filter(|tag| etag::is_strong(tag));
        let tagged = tag.and_then(|tag| stored.iter().position(|stored| has_tag(stored.as_ref(), tag)));
        // One response was asked about and confirmed, whatever tag the 304 has: some origins make tags per answer.
        let asked_about = selected.or((stored.len() == 1).then_some(0));
        let variant = tagged.or(asked_about)?;
        Some(self.refresh(request, variant, stored[variant].as_ref(), headers, Times { request: asked, response: now }))
    }

    /// Takes in the final answer to a HEAD request that was forwarded.
    #[must_use]
    pub fn on_head<T: AsRef<Stored>>(
        &self,
        request: &Request<'_>,
        stored: &[T],
        response: &Response<'_>,
        asked: UnixMs,
        now: UnixMs,
    ) -> HeadUpdate {
        let Some(variant) = self.select(request, stored) else { return HeadUpdate::Nothing };
        let known = stored[variant].as_ref();
        if response.status != known.status {
            return HeadUpdate::Nothing;
        }
        let differs = |name: HeaderName| {
            let (new, old) = (response.headers.get(&name), known.headers.get(&name));
            new.is_some() && old.is_some() && new != old
        };
        if [ETAG, LAST_MODIFIED, CONTENT_LENGTH].into_iter().any(differs) {
            return HeadUpdate::Gone(variant);
        }
        let times = Times { request: asked, response: now };
        HeadUpdate::Refreshed(self.refresh(request, variant, known, response.headers, times))
    }

    fn refresh(
        &self,
        request: &Request<'_>,
        variant: usize,
        known: &Stored,
        news: &HeaderMap,
        times: Times,
    ) -> Refreshed {
        let mut headers = known.headers.clone();
        let mut news = news.clone();
        let age = news.remove(http::header::AGE);
        fields::strip(&mut news);
        replace(&mut headers, &news);
        if !news.contains_key(DATE) {
            // The stored date is that of another message: this one is from now.
            headers.remove(DATE);
        }
        headers.extend(age.map(|age| (http::header::AGE, age)));
        let options = self.options();
        let directives = Directed::of(&headers, options);
        let response = Response { status: known.status, headers: &headers };
        let forbidden = self.forbidden(request, &response, &directives).is_some();
        let same_vary = headers.get_all(VARY).iter().eq(known.headers.get_all(VARY).iter());
        let selection = if same_vary {
            Some(known.selection.clone())
        } else {
            Selection::new(&headers, request.headers, options.language_by_quality)
        };
        let keep = !forbidden && selection.is_some();
        let selection = selection.unwrap_or_else(|| known.selection.clone());
        let mut stored = storing::make(known.status, headers, selection, &directives, options, times);
        stored.body_bytes = known.body_bytes;
        Refreshed { variant, stored: Box::new(stored), keep }
    }
}

fn has_tag(stored: &Stored, tag: &[u8]) -> bool {
    etag::of(&stored.headers).is_some_and(|known| etag::strong_equal(known.as_bytes(), tag))
}

/// Replaces fields by their news, but for those that describe the content that is stored (RFC 9111 section 3.2).
fn replace(headers: &mut HeaderMap, news: &HeaderMap) {
    let kept = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName::from_static("content-md5")];
    for name in news.keys().filter(|name| !kept.contains(name)) {
        headers.remove(name);
        for value in news.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
}
