//! Just enough of Rust's grammar for rules about text: what is code, what is comment, what is inside quotes.

/// A source file, taken apart. The three texts have the length and the lines of the whole, with blanks for the rest.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the repository: `crates/queue/src/serve.rs`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and without what is inside quotes.
    pub(crate) code: String,
    /// Only comments, doc comments included.
    pub(crate) comments: String,
    /// As `code`, also without modules and functions under `#[cfg(test)]` and `#[test]`.
    pub(crate) shipped: String,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// 1 is the first.
    pub(crate) line: usize,
    /// From the signature's line to the closing brace's.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (code, comments) = split(text);
        let shipped = if is_test_path(path) { blank(&code) } else { without_tests(&code) };
        Source { path: path.into(), text: text.into(), code, comments, shipped }
    }

    /// The functions outside tests, in order.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in words(&self.shipped, "fn") {
            let rest = self.shipped[at + 2..].trim_start();
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some((open, close)) = body(&self.shipped, at) else { continue };
            if name.is_empty() || open == close {
                continue;
            }
            let lines = self.shipped[at..close].matches('\n').count() + 1;
            found.push(Function { name, line: line_of(&self.shipped, at), lines });
        }
        found
    }
}

fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples" | "testkit"))
}

/// The line, counted from 1, of a place in a text.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands alone.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_' || c == '#';
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        !text[..*at].ends_with(part_of_a_word) && !text[at + word.len()..].starts_with(part_of_a_word)
    })
}

/// The braces of the item that begins at `from`, as (open, close); `None` when it ends in a semicolon.
fn body(code: &str, from: usize) -> Option<(usize, usize)> {
    let mut brackets = 0usize;
    for (offset, byte) in code[from..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if brackets == 0 => return None,
            b'{' if brackets == 0 => return Some((from + offset, closing(code, from + offset))),
            _ => {}
        }
    }
    None
}

fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    let mut shipped = code.to_string();
    for mark in ["#[cfg(test)]", "#[test]"] {
        let mut from = 0;
        while let Some(at) = shipped[from..].find(mark).map(|at| from + at) {
            let after = at + mark.len();
            let end = match body(&shipped, after) {
                Some((_, close)) => (close + 1).min(shipped.len()),
                None => shipped[after..].find(';').map_or(shipped.len(), |semicolon| after + semicolon + 1),
            };
            let gone = blank(&shipped[at..end]);
            shipped.replace_range(at..end, &gone);
            from = end;
        }
    }
    shipped
}

/// Blanks instead of everything but line ends.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// Takes a file apart into (code, comments).
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut at = 0;
    while at < text.len() {
        let (length, kind) = token(&text[at..]);
        let part = &text[at..at + length];
        code.push_str(&if kind == Kind::Code { part.to_string() } else { blank(part) });
        comments.push_str(&if kind == Kind::Comment { part.to_string() } else { blank(part) });
        at += length;
    }
    (code, comments)
}

#[derive(PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Quoted,
}

/// The length and the kind of what a text begins with.
fn token(text: &str) -> (usize, Kind) {
    let length_to = |end: Option<usize>| end.unwrap_or(text.len());
    if text.starts_with("//") {
        return (length_to(text.find('\n')), Kind::Comment);
    }
    if text.starts_with("/*") {
        return (block_comment(text), Kind::Comment);
    }
    if text.starts_with('"') {
        return (quoted(text, 1), Kind::Quoted);
    }
    if text.starts_with("b\"") || text.starts_with("c\"") {
        return (quoted(text, 2), Kind::Quoted);
    }
    if let Some(length) = raw_string(text) {
        return (length, Kind::Quoted);
    }
    if let Some(length) = character(text) {
        return (length, Kind::Quoted);
    }
    let first = text.chars().next().map_or(1, char::len_utf8);
    if text.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        return (word, Kind::Code);
    }
    (first, Kind::Code)
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix("cr")).or_else(|| text.strip_prefix('r'))?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inside = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| begin + at + end.len()))
}

/// `'x'` and `b'\n'`, but not a lifetime.
fn character(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('b').unwrap_or(text).strip_prefix('\'')?;
    let begin = text.len() - rest.len();
    if rest.starts_with('\\') {
        let end = rest.char_indices().skip(2).find(|(_, c)| *c == '\'')?.0;
        return Some(begin + end + 1);
    }
    let first = rest.chars().next()?;
    rest[first.len_utf8()..].starts_with('\'').then_some(begin + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_quotes_are_no_code() {
        let source =
            Source::new("a.rs", "let a = \"x // { \\\" }\"; // } why\nlet b = r#\"\" { \"#; /* { */ let c = '{';");
        assert!(!source.code.contains(['{', '}']));
        assert!(source.code.contains("let c ="));
        assert_eq!(source.comments.split_whitespace().collect::<Vec<_>>(), ["//", "}", "why", "/*", "{", "*/"]);
        assert_eq!(source.code.len(), source.text.len());
    }

    #[test]
    fn a_lifetime_is_no_character() {
        let source = Source::new("a.rs", "fn f<'a>(x: &'a str) -> &'a str { x }\nfn g() -> u8 { b'\\'' }");
        let names: Vec<String> = source.functions().into_iter().map(|function| function.name).collect();
        assert_eq!(names, ["f", "g"]);
    }

    #[test]
    fn a_function_runs_from_its_signature_to_its_brace() {
        let source = Source::new(
            "a.rs",
            "\nfn long(\n    a: [u8; 3],\n) {\n    if a[0] > 0 {}\n}\ntrait T { fn none(&self); }\n",
        );
        assert_eq!(source.functions(), [Function { name: "long".into(), line: 2, lines: 5 }]);
    }

    #[test]
    fn tests_are_not_shipped() {
        let source = Source::new(
            "a.rs",
            "fn kept() { 1 }\n#[cfg(test)]\nmod tests { fn gone() { 2 } }\n#[test]\nfn gone() {}\n",
        );
        assert_eq!(source.functions().len(), 1);
        assert!(Source::new("crates/a/tests/it/main.rs", "fn gone() {}").functions().is_empty());
    }
}
