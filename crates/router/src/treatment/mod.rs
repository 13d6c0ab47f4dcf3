//! What is done with a route's requests before they are passed on, and with the replies to them: who may ask, redirects,
//! other paths, other fields. A route without any has none of this. Pure.

mod clients;
mod edits;
mod redirect;
mod rewrite;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Uri};

use crate::config::RoutePolicy;
use crate::passwords::Users;
use clients::Clients;
use edits::Edits;
use redirect::Redirect;
use rewrite::Rewrite;

/// The treatment of one route.
#[derive(Debug)]
pub(crate) struct Treatment {
    pub(crate) clients: Option<Clients>,
    pub(crate) users: Option<Users>,
    redirect: Option<Redirect>,
    rewrite: Option<Rewrite>,
    request: Edits,
    reply: Edits,
}

impl Treatment {
    /// Of a route with this path prefix, if there is any.
    pub(crate) fn of(policy: &RoutePolicy, path_prefix: &str) -> Option<Arc<Treatment>> {
        let RoutePolicy { clients, basic_auth, redirect, rewrite, request_headers, reply_headers, .. } = policy;
        let some = clients.is_some() || basic_auth.is_some() || redirect.is_some() || rewrite.is_some();
        if !some && request_headers.is_none() && reply_headers.is_none() {
            return None;
        }
        Some(Arc::new(Treatment {
            clients: clients.as_ref().map(Clients::of),
            users: basic_auth.as_ref().map(Users::of),
            redirect: redirect.as_ref().map(Redirect::of),
            rewrite: rewrite.as_ref().map(|rewrite| Rewrite::of(rewrite, path_prefix)),
            request: request_headers.as_ref().map(Edits::of).unwrap_or_default(),
            reply: reply_headers.as_ref().map(Edits::of).unwrap_or_default(),
        }))
    }

    /// Where a request is sent instead, and how.
    pub(crate) fn elsewhere(&self, host: &str, target: &Uri) -> Option<(StatusCode, HeaderValue)> {
        let redirect = self.redirect.as_ref()?;
        Some((redirect.status, redirect.location(host, target)?))
    }

    /// Whether the application is asked for something else than its client asks for.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrite.is_some()
    }

    /// The request as the application is to get it.
    pub(crate) fn request(&self, head: &mut Parts) {
        if let Some(rewritten) = self.rewrite.as_ref().and_then(|rewrite| rewrite.target(&head.uri)) {
            head.uri = rewritten;
        }
        self.request.make(&mut head.headers);
    }

    /// The reply as the client is to get it.
    pub(crate) fn reply(&self, headers: &mut HeaderMap) {
        self.reply.make(headers);
    }
}
