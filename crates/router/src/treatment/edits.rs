//! Fields that are set and removed.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{FieldEdits, editable};

/// `request_headers` or `reply_headers` of a route.
#[derive(Debug, Default)]
pub(super) struct Edits {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
}

impl Edits {
    /// What cannot be done is left out; the configuration refuses it before.
    pub(super) fn of(config: &FieldEdits) -> Edits {
        let set = config.set.iter().filter_map(|(name, value)| Some((editable(name).ok()?, value.try_into().ok()?)));
        Edits { remove: config.remove.iter().filter_map(|name| editable(name).ok()).collect(), set: set.collect() }
    }

    pub(super) fn make(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}
