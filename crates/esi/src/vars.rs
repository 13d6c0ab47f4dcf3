//! Variables of the request: `$(HTTP_HOST)`, `$(QUERY_STRING{page}|1)`.

/// Where the values of variables come from.
pub trait Vars {
    /// The value of `$(name)` or `$(name{key})`; `None` when there is none.
    fn get(&self, name: &str, key: Option<&str>) -> Option<String>;
}

/// A request without variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVars;

impl Vars for NoVars {
    fn get(&self, _name: &str, _key: Option<&str>) -> Option<String> {
        None
    }
}

/// One `$(...)` of a text.
struct Variable<'a> {
    name: &'a str,
    key: Option<&'a str>,
    default: &'a str,
    /// How long it is with `$(` and `)`.
    length: usize,
}

/// Replaces the variables of a text by their values, each made harmless by `escape`.
pub(crate) fn substitute(text: &str, vars: &dyn Vars, escape: fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match variable(rest) {
            Some(variable) => {
                let value = vars.get(variable.name, variable.key);
                out.push_str(&escape(value.as_deref().unwrap_or(variable.default)));
                rest = &rest[variable.length..];
            }
            None => {
                out.push_str("$(");
                rest = &rest[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The value of a text that is one variable.
pub(crate) fn value(text: &str, vars: &dyn Vars) -> Option<(String, usize)> {
    let variable = variable(text)?;
    let value = vars.get(variable.name, variable.key);
    Some((value.unwrap_or_else(|| variable.default.to_string()), variable.length))
}

fn variable(text: &str) -> Option<Variable<'_>> {
    let inside = text.strip_prefix("$(")?;
    let end = inside.find(')')?;
    let (reference, default) = inside[..end].split_once('|').unwrap_or((&inside[..end], ""));
    let default = default.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(default);
    let (name, key) = match reference.split_once('{') {
        Some((name, key)) => (name, Some(key.strip_suffix('}')?)),
        None => (reference, None),
    };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(Variable { name, key, default, length: end + 3 })
}

/// For a URL: everything but unreserved characters, so that a value never adds a part to it.
pub(crate) fn for_url(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// For a page: a value that a client sent never becomes markup.
pub(crate) fn for_html(value: &str) -> String {
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}
