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

/// A longer `$(...)` is text.
const VARIABLE_BYTES_MAX: usize = 1024;

/// One `$(...)` of a text.
struct Variable<'a> {
    name: &'a str,
    key: Option<&'a str>,
    default: &'a str,
    /// How long it is with `$(` and `)`.
    length: usize,
}

/// What is made of a text.
pub(crate) struct Substituted {
    pub(crate) text: Vec<u8>,
    /// The rest of it, from here on, may be the beginning of a variable.
    pub(crate) read: usize,
}

/// Replaces the variables of a text by their values, each made harmless by `escape`; a value that is longer than what is
/// `left` is left out.
pub(crate) fn substitute(text: &[u8], vars: &dyn Vars, escape: fn(&str) -> String, left: &mut usize) -> Substituted {
    let mut out = Vec::with_capacity(text.len());
    let mut read = 0;
    while let Some(at) = text[read..].iter().position(|byte| *byte == b'$') {
        out.extend_from_slice(&text[read..read + at]);
        read += at;
        match variable(&text[read..]) {
            Found::Variable(variable) => {
                let value = vars.get(variable.name, variable.key);
                let value = escape(value.as_deref().unwrap_or(variable.default));
                if let Some(less) = left.checked_sub(value.len()) {
                    *left = less;
                    out.extend_from_slice(value.as_bytes());
                }
                read += variable.length;
            }
            Found::Text => {
                out.push(b'$');
                read += 1;
            }
            Found::Unfinished => return Substituted { text: out, read },
        }
    }
    out.extend_from_slice(&text[read..]);
    Substituted { text: out, read: text.len() }
}

/// The same for a text that is complete.
pub(crate) fn substitute_all(text: &[u8], vars: &dyn Vars, escape: fn(&str) -> String, left: &mut usize) -> Vec<u8> {
    let Substituted { text: mut out, read } = substitute(text, vars, escape, left);
    // What began there never ends.
    out.extend_from_slice(&text[read..]);
    out
}

/// The value of a text that begins with a variable, and how long that is.
pub(crate) fn value(text: &str, vars: &dyn Vars) -> Option<(String, usize)> {
    let Found::Variable(variable) = variable(text.as_bytes()) else { return None };
    let value = vars.get(variable.name, variable.key);
    Some((value.unwrap_or_else(|| variable.default.to_string()), variable.length))
}

enum Found<'a> {
    Variable(Variable<'a>),
    Text,
    /// There are not enough bytes to say.
    Unfinished,
}

/// What a text begins with.
fn variable(text: &[u8]) -> Found<'_> {
    let Some(inside) = text.strip_prefix(b"$(") else {
        return if text == b"$" { Found::Unfinished } else { Found::Text };
    };
    let inside = &inside[..inside.len().min(VARIABLE_BYTES_MAX)];
    let name = inside.iter().position(|byte| !is_of_name(*byte));
    if name.is_some_and(|end| end == 0 || !matches!(inside[end], b'{' | b'|' | b')')) {
        return Found::Text;
    }
    match inside.iter().position(|byte| *byte == b')') {
        Some(end) => std::str::from_utf8(&inside[..end]).ok().and_then(reference).map_or(Found::Text, Found::Variable),
        None if inside.len() < VARIABLE_BYTES_MAX => Found::Unfinished,
        None => Found::Text,
    }
}

/// Reads `NAME{key}|default`.
fn reference(inside: &str) -> Option<Variable<'_>> {
    let (reference, default) = inside.split_once('|').unwrap_or((inside, ""));
    let default = default.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(default);
    let (name, key) = match reference.split_once('{') {
        Some((name, key)) => (name, Some(key.strip_suffix('}')?)),
        None => (reference, None),
    };
    let is_name = !name.is_empty() && name.bytes().all(is_of_name);
    is_name.then_some(Variable { name, key, default, length: inside.len() + 3 })
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
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
