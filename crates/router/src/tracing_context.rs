//! Whether a request goes on with the trace it names or begins its own. Pure.

use http::HeaderMap;
use stdx::rng::Rng;
use stdx::trace::TraceContext;

use crate::fields::{self, FieldSet, TRACEPARENT, TRACESTATE};

/// Where in which trace a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    /// The router's own span; endpoints get it as their parent.
    pub(crate) context: TraceContext,
    /// The span that caused this one, when the trace goes on.
    pub(crate) parent: Option<TraceContext>,
    /// What an untrusted peer named: recorded as a link, never continued.
    pub(crate) link: Option<TraceContext>,
}

/// Decides by W3C Trace Context sections 3.3 and 4.3: a trusted peer's valid context is kept with a new span; anybody
/// else's is only remembered. Two `traceparent` fields are none.
pub(crate) fn decide(headers: &HeaderMap, set: FieldSet, trusted: bool, rng: &mut Rng) -> Traced {
    if !set.trace {
        return Traced { context: TraceContext::new_root(rng), parent: None, link: None };
    }
    let mut named = headers.get_all(TRACEPARENT).iter();
    let named = match (named.next(), named.next()) {
        (Some(one), None) => TraceContext::parse(one.as_bytes()).ok(),
        _ => None,
    };
    match named {
        Some(parent) if trusted => Traced { context: parent.child(rng), parent: Some(parent), link: None },
        link => Traced { context: TraceContext::new_root(rng), parent: None, link },
    }
}

/// Takes out what the router's context replaces; `tracestate` survives only with the context it belongs to.
pub(crate) fn remove(headers: &mut HeaderMap, set: FieldSet, traced: &Traced) {
    if set.trace {
        headers.remove(TRACEPARENT);
        if traced.parent.is_none() {
            headers.remove(TRACESTATE);
        }
    }
}

/// Writes the router's context into a head.
pub(crate) fn write(out: &mut Vec<u8>, traced: &Traced) {
    fields::write_field(out, &TRACEPARENT, &traced.context.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::{any, prop_assert, proptest};

    const NAMED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn decided(fields: &[(&'static str, &'static str)], trusted: bool) -> (Traced, HeaderMap) {
        let mut headers = headers(fields);
        let set = FieldSet::of(&headers);
        let traced = decide(&headers, set, trusted, &mut Rng::with_seed(7));
        remove(&mut headers, set, &traced);
        (traced, headers)
    }

    #[test]
    fn a_trusted_peers_trace_goes_on_with_a_new_span() {
        let (traced, headers) = decided(&[("traceparent", NAMED), ("tracestate", "a=1")], true);
        assert_eq!(traced.context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(traced.parent.unwrap().span.to_string(), "b7ad6b7169203331");
        assert_ne!(traced.context.span, traced.parent.unwrap().span);
        let mut out = Vec::new();
        write(&mut out, &traced);
        assert_eq!(String::from_utf8(out).unwrap(), format!("traceparent: {}\r\n", traced.context));
        assert_eq!(headers["tracestate"], "a=1");
    }

    #[test]
    fn an_untrusted_peers_trace_is_only_a_link() {
        let (traced, headers) = decided(&[("traceparent", NAMED), ("tracestate", "a=1")], false);
        assert_ne!(traced.context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(traced.parent, None);
        assert_eq!(traced.link.unwrap().to_string(), NAMED);
        assert!(!headers.contains_key("tracestate"));
    }

    #[test]
    fn two_contexts_or_a_malformed_one_are_none() {
        for fields in [&[("traceparent", NAMED), ("traceparent", NAMED)][..], &[("traceparent", "00-zz")][..]] {
            let (traced, headers) = decided(fields, true);
            assert_eq!((traced.parent, traced.link), (None, None));
            assert!(!headers.contains_key("traceparent"));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_a_valid_context_goes_on(value in any::<Vec<u8>>(), trusted in any::<bool>()) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(TRACEPARENT, value);
            }
            let traced = decide(&headers, FieldSet::of(&headers), trusted, &mut Rng::with_seed(1));
            let mut out = Vec::new();
            write(&mut out, &traced);
            let written = out.strip_prefix(b"traceparent: ").and_then(|value| value.strip_suffix(b"\r\n"));
            prop_assert!(written.is_some_and(|value| TraceContext::parse(value) == Ok(traced.context)));
        }
    }
}
