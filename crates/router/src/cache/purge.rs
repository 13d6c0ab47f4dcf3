//! What is purged by hand: addresses, surrogate keys, everything.

use std::sync::Arc;
use std::time::Duration;

use control::wire::router::{PurgeReport, PurgeRequest};
use http::uri::Authority;
use http_cache::{Outline, Stored, UnixMs, primary_key, tags};

use super::disk::Means;
use super::driven::{Cache, Inner};
use crate::handle::Handle;

/// Addresses and keys of one request.
const NAMED_MAX: usize = 1_000;
/// How long a purge waits for the disk.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// Why nothing was purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The request is empty.
    #[error("nothing is named that could be purged")]
    Nothing,
    /// So many are named.
    #[error("{0} addresses and keys are named, {NAMED_MAX} is the limit")]
    TooMany(usize),
    /// This one is no address.
    #[error("`{0}` is neither http(s)://HOST/PATH nor a path")]
    Malformed(String),
    /// From now on nobody is answered with it, but it may come back when this process ends.
    #[error("what was purged is not known to be gone from disk")]
    NotSettled,
}

/// Which addresses are meant, as keys of the store have them.
#[derive(Debug)]
struct Pattern {
    /// Scheme and host; `None`: any.
    origin: Option<Box<str>>,
    target: Box<str>,
    /// Whatever follows.
    open: bool,
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let (address, open) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        if address.starts_with('/') {
            return Some(Pattern { origin: None, target: address.into(), open });
        }
        let (scheme, rest) = address.split_once("://")?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (host, target) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        host.parse::<Authority>().ok()?;
        let key = primary_key("", scheme, host, "");
        Some(Pattern { origin: Some(address_of(&key).into()), target: target.into(), open })
    }

    fn means(&self, key: &str) -> bool {
        let address = address_of(key);
        let target = match &self.origin {
            Some(origin) => address.strip_prefix(&**origin),
            None => address.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])),
        };
        // A host is not the beginning of another.
        let target = target.filter(|target| target.starts_with('/'));
        target.is_some_and(|target| if self.open { target.starts_with(&*self.target) } else { target == &*self.target })
    }
}

/// A key's address, behind its partition.
fn address_of(key: &str) -> &str {
    key.split_once('\n').map_or(key, |(_, address)| address)
}

impl Cache {
    /// Forgets what `by_address` and the surrogate `keys` mean, or makes it `stale` from now on; of what is on its way
    /// `under_way` says what is not kept.
    fn purge_by_hand(
        &self,
        by_address: impl Fn(&str) -> bool,
        keys: &[String],
        under_way: impl Fn(&str, Option<&Stored>) -> bool,
        stale: Option<UnixMs>,
        on_disk: &Means,
    ) -> PurgeReport {
        let mut inner = self.lock();
        let Inner { store, disk, .. } = &mut *inner;
        let only_there =
            |key: &str, outline: &Outline| !store.get(key).iter().any(|entry| outline.is_of(entry.stored()));
        let mut answers = disk.as_ref().map_or(0, |disk| disk.purge(on_disk, only_there));
        for key in store.keys(by_address) {
            answers += match stale {
                None => store.purge(&key),
                Some(now) => store.expire(&key, now),
            };
        }
        for tag in keys {
            answers += match stale {
                None => store.purge_tag(tag),
                Some(now) => store.expire_tag(tag, now),
            };
        }
        let under_way = inner.table.disown(under_way);
        PurgeReport { answers: answers as u64, under_way: under_way as u64 }
    }
}

impl Handle {
    /// Purges from the caches of all routes.
    ///
    /// # Errors
    /// When the request names nothing, too much, or something that is no address.
    pub fn purge(&self, request: &PurgeRequest) -> Result<PurgeReport, PurgeError> {
        let PurgeRequest { urls, keys, all, soft } = request;
        let named = urls.len() + keys.len();
        if named > NAMED_MAX {
            return Err(PurgeError::TooMany(named));
        }
        if named == 0 && !all {
            return Err(PurgeError::Nothing);
        }
        let pattern = |url: &String| Pattern::parse(url).ok_or_else(|| PurgeError::Malformed(url.clone()));
        let patterns = urls.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        let all = *all;
        let (patterns, named) = (Arc::new(patterns), Arc::new(keys.clone()));
        let on_disk = {
            let patterns = Arc::clone(&patterns);
            let by_address = move |key: &str| all || patterns.iter().any(|pattern| pattern.means(key));
            Arc::new(move |key: &str, tags: &[Box<str>]| {
                by_address(key) || tags.iter().any(|tag| named.iter().any(|key| **key == **tag))
            }) as Means
        };
        let by_address = |key: &str| all || patterns.iter().any(|pattern| pattern.means(key));
        // What is on its way may turn out to carry any key.
        let under_way = |key: &str, stored: Option<&Stored>| {
            let carries =
                |stored: &Stored| tags(stored.headers()).iter().any(|tag| keys.iter().any(|key| **key == **tag));
            by_address(key) || (!keys.is_empty() && stored.is_none_or(carries))
        };
        let cache: &Cache = &self.shared.cache;
        let now = super::wall_ms(&self.clock);
        let report = cache.purge_by_hand(by_address, keys, under_way, soft.then_some(now), &on_disk);
        tracing::info!(
            answers = report.answers,
            under_way = report.under_way,
            ?urls,
            ?keys,
            all,
            soft,
            "purged by hand"
        );
        Ok(report)
    }

    /// Waits until what was purged is gone from disk, too, so that no crash brings it back.
    ///
    /// # Errors
    /// When the disk does not say so in time.
    pub async fn purge_settled(&self) -> Result<(), PurgeError> {
        match self.shared.cache.disk() {
            Some(disk) if !disk.settled(SETTLE_TIME).await => Err(PurgeError::NotSettled),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(pattern: &str, scheme: &str, host: &str, target: &str) -> bool {
        Pattern::parse(pattern).unwrap().means(&primary_key("shop/web/", scheme, host, target))
    }

    #[test]
    fn an_address_means_itself() {
        assert!(means("https://shop.example/a?b", "https", "shop.example", "/a?b"));
        assert!(means("HTTPS://Shop.Example:443/a", "https", "shop.example", "/a"));
        assert!(means("http://shop.example", "http", "shop.example:80", "/"));
        assert!(!means("https://shop.example/a", "http", "shop.example", "/a"));
        assert!(!means("https://shop.example/a", "https", "shop.example", "/a?b"));
        assert!(!means("https://shop.example/a", "https", "shop.example.evil", "/a"));
    }

    #[test]
    fn a_path_means_it_at_any_host_and_a_star_what_follows() {
        assert!(means("/a", "https", "one.example", "/a") && means("/a", "http", "two.example:8080", "/a"));
        assert!(!means("/a", "https", "one.example", "/b/a"));
        assert!(means("/a/*", "https", "one.example", "/a/b?c") && !means("/a/*", "https", "one.example", "/ab"));
        assert!(means("https://one.example/*", "https", "one.example", "/a"));
        assert!(!means("https://one.exam*", "https", "one.example", "/a"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "shop.example/a", "ftp://shop.example/", "https:///a", "https://a b/"] {
            assert!(Pattern::parse(text).is_none(), "{text}");
        }
    }
}
