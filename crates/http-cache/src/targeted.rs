//! Targeted fields such as `CDN-Cache-Control` (RFC 9213): dictionaries of RFC 8941, read to the letter.

use http::{HeaderMap, HeaderName};

use crate::directives::{Directives, is_token};

/// The directives of one targeted field; `None` where it is absent, empty or no dictionary, so that the next one counts.
#[must_use]
pub fn parse_targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Directives> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    let text = lines.join(&b", "[..]);
    let members = Scan(&text).dictionary()?;
    if members.is_empty() {
        return None;
    }
    let mut directives = Directives::default();
    for (at, (key, item)) in members.iter().enumerate() {
        // The last of equal keys counts in a dictionary (RFC 8941 section 4.2.2).
        if members[at + 1..].iter().any(|(later, _)| later == key) {
            continue;
        }
        match item {
            Item::True => directives.set(key, None),
            Item::False | Item::Other => {}
            Item::Integer(digits) | Item::Text(digits) if is_of_type(key, item) => directives.set(key, Some(digits)),
            Item::Integer(_) | Item::Text(_) => {}
        }
    }
    Some(directives)
}

/// A number is an Integer and a list of fields a String; another type is as if the member were not there.
fn is_of_type(key: &[u8], item: &Item) -> bool {
    let names_fields = matches!(key, b"no-cache" | b"private");
    names_fields == matches!(item, Item::Text(_))
}

enum Item {
    True,
    False,
    Integer(Vec<u8>),
    Text(Vec<u8>),
    /// A decimal, token, byte sequence or inner list: of no use here, but well formed.
    Other,
}

struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn dictionary(mut self) -> Option<Vec<(&'a [u8], Item)>> {
        let mut members = Vec::new();
        self.skip(b" ");
        while !self.0.is_empty() {
            let key = self.key()?;
            let item = if self.eat(b'=') { self.member()? } else { Item::True };
            self.parameters()?;
            members.push((key, item));
            self.skip(b" \t");
            if self.0.is_empty() {
                break;
            }
            self.eat(b',').then_some(())?;
            self.skip(b" \t");
            (!self.0.is_empty()).then_some(())?;
        }
        Some(members)
    }

    fn member(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.item();
        }
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.item()?;
            self.parameters()?;
            matches!(self.0.first()?, b' ' | b')').then_some(())?;
        }
    }

    fn item(&mut self) -> Option<Item> {
        match self.0.first()? {
            b'?' => {
                let item = match self.0.get(1)? {
                    b'1' => Item::True,
                    b'0' => Item::False,
                    _ => return None,
                };
                self.0 = &self.0[2..];
                Some(item)
            }
            b'"' => self.string(),
            b':' => {
                let end = self.0[1..].iter().position(|byte| *byte == b':')?;
                self.0 = &self.0[end + 2..];
                Some(Item::Other)
            }
            b'-' | b'0'..=b'9' => self.number(),
            byte if byte.is_ascii_alphabetic() || *byte == b'*' => {
                self.take(|byte| is_token(byte) || byte == b':' || byte == b'/');
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let digits = self.take(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.eat(b'.') {
            let fraction = self.take(|byte| byte.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        let mut text = if negative { vec![b'-'] } else { Vec::new() };
        text.extend(digits);
        Some(Item::Integer(text))
    }

    fn string(&mut self) -> Option<Item> {
        let mut text = Vec::new();
        let mut bytes = self.0[1..].iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.0 = &self.0[at + 2..];
                    return Some(Item::Text(text));
                }
                b'\\' => match bytes.next()?.1 {
                    escaped @ (b'"' | b'\\') => text.push(*escaped),
                    _ => return None,
                },
                0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
        None
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(b" ");
            self.key()?;
            if self.eat(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        matches!(self.0.first()?, b'a'..=b'z' | b'*').then_some(())?;
        Some(self.take(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)))
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.0.first() == Some(&byte);
        if there {
            self.0 = &self.0[1..];
        }
        there
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take(|byte| bytes.contains(&byte));
    }

    fn take(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !accept(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}
