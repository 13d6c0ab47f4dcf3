//! What does not fit about a route's redirect and its edits of fields.

use router::config::{RoutePolicy, TreatmentFault};

use crate::document::Finding;
use crate::key_path::KeyPath;

/// Findings of one route.
pub(crate) fn rules(at: &KeyPath, policy: &RoutePolicy, findings: &mut Vec<Finding>) {
    let mut found = |key: &str, fault: TreatmentFault| {
        let place = fault.at.iter().fold(at.key(key), |place, key| place.key(key.as_str()));
        findings.push(Finding::invalid(place, fault.what));
    };
    if let Some(fault) = policy.redirect.as_ref().and_then(|redirect| redirect.fault()) {
        found("redirect", fault);
    }
    policy.basic_auth.iter().flat_map(|auth| auth.faults()).for_each(|fault| found("basic_auth", fault));
    for (key, edits) in [("request_headers", &policy.request_headers), ("reply_headers", &policy.reply_headers)] {
        edits.iter().flat_map(|edits| edits.faults()).for_each(|fault| found(key, fault));
    }
}
