//! The inside of one tag.

/// An ESI tag without its `<`, `esi:` and `>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) is_empty_element: bool,
}

impl Tag {
    /// Reads `include src="/x" alt='/y'/`. Attributes that cannot be read are left out.
    pub(crate) fn parse(inside: &[u8]) -> Tag {
        let text = String::from_utf8_lossy(inside);
        let text = text.trim();
        let (text, is_empty_element) = text.strip_suffix('/').map_or((text, false), |text| (text.trim_end(), true));
        let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = attribute(rest) {
            attributes.push(attribute);
            rest = after;
        }
        Tag { name: name.to_string(), attributes, is_empty_element }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The first `name="value"` of a text, and what comes after.
fn attribute(text: &str) -> Option<((String, String), &str)> {
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, rest) = rest[1..].split_once(quote)?;
    Some(((name.trim().to_string(), unescape(value)), rest))
}

/// The five entities of XML: a query in an attribute has `&amp;`.
fn unescape(value: &str) -> String {
    let mut text = value.to_string();
    for (entity, meaning) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, meaning);
    }
    text
}
