//! The query language. A query is words, all of which must hold:
//!
//! ```text
//! timeout              the text is in the message or the fields; case does not matter
//! "order 17 failed"    a phrase; \" and \\ stand for themselves
//! app:shop  env:production  process:web  instance:web.3  source:router  stream:stderr  release:3
//! level:warning        this level or worse
//! trace:<32 hex>  span:<16 hex>
//! message:timeout      the text is in the message
//! order:17  user.id:7  a field has this value; a dot goes into an object
//! order:*              there is such a field
//! -healthz  -level:error   not
//! ```

use stdx::ids::ReleaseNo;

use super::filter::{Sign, Term};
use super::needle::Needle;
use crate::level::Level;
use crate::record::{Source, Stream};

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SyntaxError {
    /// What is wrong.
    pub problem: String,
    /// Where it begins: the column in characters, from 1.
    pub column: usize,
    /// What to write instead.
    pub hint: String,
}

/// Terms in one query.
const TERMS_MAX: usize = 64;

/// Reads a query.
pub(crate) fn parse(text: &str) -> Result<Vec<(Sign, Term)>, SyntaxError> {
    let mut words = Words { text, rest: text };
    let mut terms = Vec::new();
    while let Some(word) = words.next()? {
        if terms.len() == TERMS_MAX {
            return Err(word.error(format!("more than {TERMS_MAX} terms"), "look for less at once"));
        }
        let sign = if word.negated { Sign::MustNot } else { Sign::Must };
        terms.push((sign, word.term()?));
    }
    Ok(terms)
}

/// One word: `-key:"value"`.
struct Word {
    negated: bool,
    key: Option<String>,
    value: String,
    column: usize,
}

struct Words<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Words<'_> {
    fn next(&mut self) -> Result<Option<Word>, SyntaxError> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return Ok(None);
        }
        let column = self.column();
        let negated =
            self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest[1..].starts_with(char::is_whitespace);
        if negated {
            self.rest = &self.rest[1..];
        }
        let key = self.key();
        let value = if self.rest.starts_with('"') { self.phrase()? } else { self.bare().to_owned() };
        let word = Word { negated, key, value, column };
        if word.value.is_empty() {
            return Err(match &word.key {
                Some(key) => word.error(format!("`{key}:` has no value"), "write KEY:VALUE without a space between"),
                None => word.error("an empty phrase".into(), "write the text between the quotes"),
            });
        }
        Ok(Some(word))
    }

    /// Takes `key:` where a key stands. `http://host` and `12:30` are text.
    fn key(&mut self) -> Option<String> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@')))?;
        let (key, rest) = self.rest.split_at(end);
        let rest = rest.strip_prefix(':')?;
        if !key.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@')) || rest.starts_with("//") {
            return None;
        }
        self.rest = rest;
        Some(key.to_owned())
    }

    fn bare(&mut self) -> &str {
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn phrase(&mut self) -> Result<String, SyntaxError> {
        let column = self.column();
        let mut phrase = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(phrase);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => phrase.push(escaped),
                    Some((_, other)) => phrase.extend(['\\', other]),
                    None => break,
                },
                other => phrase.push(other),
            }
        }
        let problem = "a phrase that does not end".into();
        Err(SyntaxError { problem, column, hint: "end it with a quote, or write \\\" for a quote in it".into() })
    }

    fn column(&self) -> usize {
        let before = self.text.len() - self.rest.len();
        self.text[..before].chars().count() + 1
    }
}

impl Word {
    fn term(&self) -> Result<Term, SyntaxError> {
        let value = self.value.as_str();
        let Some(key) = self.key.as_deref() else { return Ok(Term::Text(Needle::new(value))) };
        Ok(match key {
            "app" => Term::App(self.read("a name of a-z, 0-9 and '-'")?),
            "env" | "environment" => Term::Env(self.read("a name of a-z, 0-9 and '-'")?),
            "process" => Term::Process(self.read("a name of a-z, 0-9 and '-'")?),
            "instance" => Term::Instance(value.to_owned()),
            "source" => Term::Source(self.one(Source::from_name(value), "app, router, queue, deploy, node")?),
            "stream" => Term::Stream(self.one(Stream::from_name(value), "stdout, stderr")?),
            "level" => Term::Level(
                self.one(Level::from_word(value), "emergency, alert, critical, error, warning, notice, info, debug")?,
            ),
            "trace" | "trace_id" => Term::Trace(self.read("32 hex digits in lower case, not all 0")?),
            "span" | "span_id" => Term::Span(self.read("16 hex digits in lower case, not all 0")?),
            "release" => {
                let number = value.strip_prefix('v').unwrap_or(value).parse().ok();
                Term::Release(ReleaseNo(self.one(number, "a number: 3 or v3")?))
            }
            "message" | "msg" => Term::Message(Needle::new(value)),
            key if value == "*" => Term::HasField { key: key.to_owned() },
            key => Term::Field { key: key.to_owned(), value: Needle::new(value) },
        })
    }

    fn read<T: std::str::FromStr>(&self, expected: &str) -> Result<T, SyntaxError> {
        self.one(self.value.parse().ok(), expected)
    }

    fn one<T>(&self, read: Option<T>, expected: &str) -> Result<T, SyntaxError> {
        let key = self.key.as_deref().unwrap_or_default();
        read.ok_or_else(|| self.error(format!("`{}` is no {key}", self.value), &format!("expected {expected}")))
    }

    fn error(&self, problem: String, hint: &str) -> SyntaxError {
        SyntaxError { problem, column: self.column, hint: hint.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::View;
    use crate::query::Filter;
    use proptest::prelude::*;
    use stdx::clock::Wall;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn record() -> View<'static> {
        View {
            app: Some("shop"),
            env: Some("production"),
            process: Some("web"),
            instance: Some("web.3"),
            release: Some(7),
            stream: Some(Stream::Stderr),
            level: Level::Error,
            trace: TRACE.parse().ok(),
            message: "Order 17 failed: see http://host/x at 12:30",
            fields: r#"{"order":17,"user":{"id":"Ann"},"a.b":true,"note":"slow disk"}"#,
            ..View::new(Wall(1), Source::App)
        }
    }

    fn finds(query: &str) -> bool {
        Filter::parse(query).unwrap().admits(&record())
    }

    #[test]
    fn these_queries_find_the_record() {
        let queries = r#" | order | ORDER failed | "order 17" | -healthz | slow | http://host | 12:30 |
            app:shop env:production process:web | instance:web.3 | source:app | stream:stderr | release:7 | release:v7 |
            level:error | level:warn | -level:critical | trace:0af7651916cd43dd8448eb211c80319c | message:failed |
            order:17 | -order:18 | user.id:ann | a.b:true | order:* | -missing:* | note:"slow disk" | -note:"slow""#;
        for query in queries.split('|') {
            assert!(finds(query), "{query}");
        }
    }

    #[test]
    fn these_queries_do_not() {
        let queries = r#"orders | "17 order" | -order | order failed -shop -17 | - |
            app:shop2 | env:staging | process:worker | instance:web.31 | source:router | stream:stdout | release:8 |
            level:critical | -level:error | trace:0bf7651916cd43dd8448eb211c80319c | message:slow |
            order:1 | user:ann | user.id:annie | missing:*"#;
        for query in queries.split('|') {
            assert!(!finds(query), "{query}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let rows = [
            ("a \"open", 3, "a phrase that does not end"),
            ("é app:Shop_", 3, "`Shop_` is no app"),
            ("level:loud", 1, "`loud` is no level"),
            ("x  trace:12", 4, "`12` is no trace"),
            ("source:app app: shop", 12, "`app:` has no value"),
            ("x -\"\"", 3, "an empty phrase"),
            ("release:v", 1, "`v` is no release"),
        ];
        for (query, column, problem) in rows {
            let e = Filter::parse(query).unwrap_err();
            assert_eq!((e.column, e.problem.as_str()), (column, problem), "{query}");
            assert!(!e.hint.is_empty());
        }
        assert!(Filter::parse(&"x ".repeat(65)).is_err());
    }

    #[test]
    fn quotes_in_a_phrase_are_escaped() {
        let record = View { message: r#"he said "no\yes""#, ..record() };
        assert!(Filter::parse(r#""said \"no\\yes\"""#).unwrap().admits(&record));
        assert!(Filter::parse(r#""no\yes""#).unwrap().admits(&record));
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_an_error(text in "\\PC{0,40}") {
            match Filter::parse(&text) {
                Ok(filter) => { filter.admits(&record()); }
                Err(e) => prop_assert!(e.column >= 1 && e.column <= text.chars().count() + 1),
            }
        }
    }
}
