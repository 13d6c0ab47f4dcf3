//! Bytes to tokens, as they arrive: a tag that is cut in two waits for its other half.

use crate::tag::Tag;

/// What a page consists of, seen from afar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Text(Vec<u8>),
    Open(Tag),
    Close(String),
    /// `<!--esi`
    CommentOpen,
    /// `-->` that belongs to one.
    CommentClose,
}

const OPEN: &[u8] = b"<esi:";
const CLOSE: &[u8] = b"</esi:";
const COMMENT_OPEN: &[u8] = b"<!--esi";
const COMMENT_CLOSE: &[u8] = b"-->";

/// The tokenizer; it holds at most one unfinished tag.
#[derive(Debug)]
pub(crate) struct Lexer {
    rest: Vec<u8>,
    /// How far in `rest` there is certainly no end of the tag that it begins with, and the quote that is open there.
    looked: usize,
    quote: Option<u8>,
    in_comment: bool,
    tag_bytes_max: usize,
}

impl Lexer {
    pub(crate) fn new(tag_bytes_max: usize) -> Lexer {
        Lexer { rest: Vec::new(), looked: 0, quote: None, in_comment: false, tag_bytes_max }
    }

    /// The tokens that are complete with these bytes; with `last`, whatever is left is text.
    pub(crate) fn feed(&mut self, bytes: &[u8], last: bool) -> Vec<Token> {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut tokens = Vec::new();
        let (mut text, mut at) = (0, 0);
        while at < rest.len() {
            let here = &rest[at..];
            let skip = here.iter().position(|byte| *byte == b'<' || self.in_comment && *byte == b'-');
            let Some(skip) = skip else { break };
            at += skip;
            match self.token(&rest[at..]) {
                Found::Token(token, length) => {
                    push_text(&mut tokens, &rest[text..at]);
                    tokens.push(token);
                    at += length;
                    text = at;
                }
                Found::Text => at += 1,
                Found::Unfinished if last => at += 1,
                Found::Unfinished => {
                    push_text(&mut tokens, &rest[text..at]);
                    self.rest = rest[at..].to_vec();
                    return tokens;
                }
            }
            (self.looked, self.quote) = (0, None);
        }
        push_text(&mut tokens, &rest[text..]);
        tokens
    }

    fn token(&mut self, here: &[u8]) -> Found {
        if self.in_comment && here.first() == Some(&b'-') {
            return match prefix(here, COMMENT_CLOSE) {
                Prefix::Yes => {
                    self.in_comment = false;
                    Found::Token(Token::CommentClose, COMMENT_CLOSE.len())
                }
                Prefix::Maybe => Found::Unfinished,
                Prefix::No => Found::Text,
            };
        }
        match prefix(here, COMMENT_OPEN) {
            Prefix::Yes if !self.in_comment => {
                self.in_comment = true;
                return Found::Token(Token::CommentOpen, COMMENT_OPEN.len());
            }
            Prefix::Maybe => return Found::Unfinished,
            Prefix::Yes | Prefix::No => {}
        }
        match (prefix(here, OPEN), prefix(here, CLOSE)) {
            (Prefix::Yes, _) => self.tag(here, OPEN.len(), |inside| Token::Open(Tag::parse(inside))),
            (_, Prefix::Yes) => {
                self.tag(here, CLOSE.len(), |inside| Token::Close(String::from_utf8_lossy(inside).trim().to_string()))
            }
            (Prefix::Maybe, _) | (_, Prefix::Maybe) => Found::Unfinished,
            (Prefix::No, Prefix::No) => Found::Text,
        }
    }

    /// A tag ends at the first `>` outside of quotes. Where there is a `<` before it, or too much, it is none: so no byte is
    /// looked at again and again for tags that never end.
    fn tag(&mut self, here: &[u8], name: usize, make: impl Fn(&[u8]) -> Token) -> Found {
        let within = here.iter().take(self.tag_bytes_max.saturating_add(1));
        for (at, byte) in within.enumerate().skip(self.looked.max(name)) {
            match (self.quote, byte) {
                (Some(open), byte) if open == *byte => self.quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => self.quote = Some(*byte),
                (None, b'>') => return Found::Token(make(&here[name..at]), at + 1),
                (None, b'<') => return Found::Text,
                (None, _) => {}
            }
        }
        self.looked = here.len();
        if here.len() > self.tag_bytes_max { Found::Text } else { Found::Unfinished }
    }
}

enum Found {
    Token(Token, usize),
    Text,
    Unfinished,
}

enum Prefix {
    Yes,
    No,
    /// There are not enough bytes to say.
    Maybe,
}

fn prefix(here: &[u8], wanted: &[u8]) -> Prefix {
    if here.starts_with(wanted) {
        Prefix::Yes
    } else if wanted.starts_with(here) {
        Prefix::Maybe
    } else {
        Prefix::No
    }
}

fn push_text(tokens: &mut Vec<Token>, text: &[u8]) {
    if !text.is_empty() {
        tokens.push(Token::Text(text.to_vec()));
    }
}
