//! Paths that the router answers itself, whatever the routes say: nothing below `/.forebay/` reaches an application, nor does
//! an authority that looks at a challenge which is open.
//!
//! ```text
//! GET /.forebay/health                  the router: 200 while it serves, 503 while it leaves
//! GET /.forebay/health/APP[/ENV]        an application, from what checks have found: 200 or 503
//! GET /.forebay/health/UPSTREAM         the same for an upstream of router.toml
//! GET /.well-known/acme-challenge/TOKEN what the authority wants to see (RFC 8555, 8.3)
//! ```

mod app;
mod state;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Serialize;

use crate::exchange::Exchange;
use crate::reply::{self, ReplyBody};
use crate::rescue::Failure;
use crate::shared::Phase;
use crate::worker::Worker;

/// The first segment of all of them.
const ROOT: &str = "/.forebay";
const HEALTH: &str = "/.forebay/health";

/// Whether this path is the router's own.
pub(crate) fn is(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is asked; kept from the head until the gate has let it in.
#[derive(Debug)]
pub(crate) enum Reserved {
    /// About the router itself.
    Own(Own),
    /// By an authority: what it wants to see.
    Challenge(Arc<str>),
}

impl Reserved {
    /// `None` for nearly everybody.
    pub(crate) fn of(worker: &Worker, head: &Parts) -> Option<Reserved> {
        let path = head.uri.path();
        if is(path) {
            return Some(Reserved::Own(Own { method: head.method.clone(), path: path.into() }));
        }
        let acme = worker.shared.edge.acme.as_ref()?;
        acme.desk.answers.find(path).map(Reserved::Challenge)
    }

    /// The answer.
    pub(crate) fn reply(self, exchange: Exchange) -> Response<ReplyBody> {
        match self {
            Reserved::Own(own) => own.reply(exchange),
            Reserved::Challenge(said) => reply::of_text(exchange, &said),
        }
    }
}

/// A request about the router itself.
#[derive(Debug)]
pub(crate) struct Own {
    method: Method,
    path: Box<str>,
}

impl Own {
    /// The answer. Details are for peers that are believed.
    fn reply(self, exchange: Exchange) -> Response<ReplyBody> {
        let Some(rest) = self.path.strip_prefix(HEALTH) else { return reply::of_router(exchange, Failure::NoRoute) };
        if self.method != Method::GET && self.method != Method::HEAD {
            return reply::of_router(exchange, Failure::ReadOnly);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            let (status, own) = of_router(&exchange.worker);
            return reply::of_itself(exchange, status, &own);
        }
        let named = rest.strip_prefix('/').and_then(|name| app::find(&exchange.worker, name));
        match named {
            Some(found) => {
                let trusted = exchange.conn.trusted;
                reply::of_itself(exchange, found.state.status(), &found.shown(trusted))
            }
            None => reply::of_router(exchange, Failure::NoRoute),
        }
    }
}

/// How the router does.
#[derive(Serialize)]
struct OwnState {
    schema: u32,
    state: &'static str,
}

fn of_router(worker: &Worker) -> (StatusCode, OwnState) {
    match worker.phase.get() {
        Phase::Serving => (StatusCode::OK, OwnState { schema: 1, state: "up" }),
        _ => (StatusCode::SERVICE_UNAVAILABLE, OwnState { schema: 1, state: "draining" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_are_reserved() {
        for (path, reserved) in [
            ("/.forebay", true),
            ("/.forebay/", true),
            ("/.forebay/x", true),
            ("/.forebayx", false),
            ("/a/.forebay", false),
        ] {
            assert_eq!(is(path), reserved, "{path}");
        }
    }
}
