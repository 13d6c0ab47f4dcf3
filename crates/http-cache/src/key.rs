//! The key under which all variants of one resource are stored.

use std::sync::Arc;

/// Partition, scheme, host and target in one text.
pub type Key = Arc<str>;

/// The key of a resource. `partition` keeps apart what must never mix: a route and its release, say. A key without scheme
/// and host is what cache poisoning is made of (RUSTSEC-2026-0035), so all parts are asked for.
#[must_use]
pub fn primary_key(partition: &str, scheme: &str, authority: &str, target: &str) -> Key {
    let mut key = String::with_capacity(partition.len() + scheme.len() + authority.len() + target.len() + 4);
    // A line feed occurs in none of the parts, so that two keys are equal only when all of their parts are.
    key.push_str(partition);
    key.push('\n');
    key.extend(scheme.chars().map(|c| c.to_ascii_lowercase()));
    key.push_str("://");
    key.extend(without_default_port(scheme, authority).chars().map(|c| c.to_ascii_lowercase()));
    key.push_str(target);
    Arc::from(key)
}

pub(crate) fn same_authority(scheme: &str, one: &str, other: &str) -> bool {
    without_default_port(scheme, one).eq_ignore_ascii_case(without_default_port(scheme, other))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(port).or_else(|| authority.strip_suffix(':')).unwrap_or(authority)
}
