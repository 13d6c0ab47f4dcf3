//! What is answered when the application cannot: a page that was read with the configuration.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, StatusCode, header};

use crate::config::FallbackConfig;

/// A route's fallback, compiled. Its other upstream is a route of its own: see `Route::fallback`.
#[derive(Debug)]
pub(crate) struct Fallback {
    page: Option<Page>,
    /// In place of the application's own errors too.
    pub(super) errors: bool,
    /// Without asking the application.
    pub(super) always: bool,
}

/// A page, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: Option<StatusCode>,
    content_type: HeaderValue,
    text: Bytes,
}

impl Fallback {
    pub(super) fn of(config: &FallbackConfig) -> Fallback {
        let content_type = HeaderValue::from_str(&config.content_type);
        let page = config.text.as_ref().map(|text| Page {
            status: config.status.and_then(|status| StatusCode::from_u16(status).ok()),
            content_type: content_type.unwrap_or(HeaderValue::from_static("text/html; charset=utf-8")),
            text: Bytes::copy_from_slice(text.as_bytes()),
        });
        Fallback { page, errors: config.errors, always: config.always }
    }

    pub(crate) fn page(&self) -> Option<Page> {
        self.page.clone()
    }
}

impl Page {
    /// A page that says no more than this.
    pub(crate) fn said(text: &str) -> Page {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        Page { status: None, content_type, text: Bytes::from(format!("{text}\n")) }
    }

    /// The page in place of an error with this status: its own status, its fields and its content.
    pub(crate) fn reply(self, instead_of: StatusCode, headers: &mut HeaderMap) -> (StatusCode, Bytes) {
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        (self.status.unwrap_or(instead_of), self.text)
    }
}
