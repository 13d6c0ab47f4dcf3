//! Requests that are sent elsewhere.

use http::{HeaderValue, StatusCode, Uri};

use crate::config::RedirectConfig;

/// `redirect` of a route.
#[derive(Debug)]
pub(super) struct Redirect {
    to: Box<str>,
    pub(super) status: StatusCode,
}

impl Redirect {
    pub(super) fn of(config: &RedirectConfig) -> Redirect {
        let status = StatusCode::from_u16(config.status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
        Redirect { to: config.to.as_str().into(), status }
    }

    /// `Location` for a request for `target` at `host`, which has been through the gate. The placeholders are looked for
    /// in what the configuration says only, never in what a request says.
    pub(super) fn location(&self, host: &str, target: &Uri) -> Option<HeaderValue> {
        let query = target.query().map_or_else(String::new, |query| format!("?{query}"));
        let values = [("{host}", host), ("{path}", target.path()), ("{query}", &query)];
        let mut location = String::with_capacity(self.to.len() + target.path().len());
        let mut rest = &*self.to;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            let named = values.iter().find(|(name, _)| from.starts_with(name));
            let (name, value) = named.copied().unwrap_or(("{", "{"));
            location.push_str(before);
            location.push_str(value);
            rest = &from[name.len()..];
        }
        location.push_str(rest);
        HeaderValue::try_from(location).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(to: &str, target: &str) -> String {
        let redirect = Redirect::of(&RedirectConfig { to: to.into(), status: 302 });
        let value = redirect.location("shop.example", &target.parse().unwrap()).unwrap();
        value.to_str().unwrap().into()
    }

    #[test]
    fn placeholders_are_the_requests() {
        assert_eq!(location("https://new.example{path}{query}", "/a/b?c=1"), "https://new.example/a/b?c=1");
        assert_eq!(location("https://www.{host}{path}{query}", "/"), "https://www.shop.example/");
        assert_eq!(location("/moved", "/a?b"), "/moved");
        assert_eq!(location("/{x}", "/a"), "/{x}");
    }

    #[test]
    fn a_request_cannot_bring_placeholders() {
        assert_eq!(
            location("https://new.example{path}{query}", "/%7Bhost%7D?x={path}"),
            "https://new.example/%7Bhost%7D?x={path}"
        );
    }
}
