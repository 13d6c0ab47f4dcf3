//! Paths that the application knows by other names.

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::RewriteConfig;

/// `rewrite` of a route.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// The route's prefix, without a slash at its end.
    from: Box<str>,
    to: Box<str>,
}

impl Rewrite {
    pub(super) fn of(config: &RewriteConfig, path_prefix: &str) -> Rewrite {
        let bare = |path: &str| path.trim_end_matches('/').into();
        Rewrite { from: bare(path_prefix), to: bare(&config.prefix) }
    }

    /// The new target; `None` when it stays, as `*` does.
    pub(super) fn target(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(&*self.from)?;
        // A path that begins with two slashes would name a host to those who resolve it.
        let rest = rest.trim_start_matches('/');
        let slash =
            if rest.is_empty() && uri.path().len() == self.from.len() && !self.to.is_empty() { "" } else { "/" };
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let target: PathAndQuery = format!("{}{slash}{rest}{query}", self.to).try_into().ok()?;
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(from: &str, to: &str, target: &str) -> String {
        let rewrite = Rewrite::of(&RewriteConfig { prefix: to.into() }, from);
        rewrite.target(&target.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_prefix_is_another_and_the_rest_stays() {
        assert_eq!(rewritten("/shop", "/", "/shop/cart?a=1"), "/cart?a=1");
        assert_eq!(rewritten("/shop", "/", "/shop"), "/");
        assert_eq!(rewritten("/shop/", "/v2/", "/shop"), "/v2");
        assert_eq!(rewritten("/shop", "/v2", "/shop/"), "/v2/");
        assert_eq!(rewritten("/", "/v2", "/a%2Fb"), "/v2/a%2Fb");
        assert_eq!(rewritten("/shop", "/", "/shop//evil.example/x"), "/evil.example/x");
    }
}
