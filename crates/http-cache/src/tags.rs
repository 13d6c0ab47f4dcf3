//! Surrogate keys: names under which responses are purged together.

use http::HeaderMap;

use crate::fields::members;

/// A response with more names is stored with the first ones only.
const TAGS_MAX: usize = 128;
/// A longer name is left out.
const TAG_BYTES_MAX: usize = 256;

/// The names in `Surrogate-Key` (separated by spaces) and `Cache-Tag` (separated by commas), each once.
#[must_use]
pub fn tags(headers: &HeaderMap) -> Vec<Box<str>> {
    let keys = headers.get_all("surrogate-key").iter().flat_map(|line| line.as_bytes().split(u8::is_ascii_whitespace));
    let listed = headers.get_all("cache-tag").iter().flat_map(|line| members(line.as_bytes()));
    let mut tags: Vec<Box<str>> = Vec::new();
    for tag in keys.chain(listed).filter(|tag| !tag.is_empty() && tag.len() <= TAG_BYTES_MAX) {
        let Ok(tag) = std::str::from_utf8(tag) else { continue };
        if tags.len() < TAGS_MAX && !tags.iter().any(|known| **known == *tag) {
            tags.push(tag.into());
        }
    }
    tags
}
