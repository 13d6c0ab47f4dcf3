//! Tokens to nodes. What depends on the request only (`choose`, `vars`, `remove`) is decided here; what depends on fragments
//! (`include`, `try`) becomes a node.

use std::time::Duration;

use crate::Limits;
use crate::expression;
use crate::lexer::{Lexer, Token};
use crate::tag::Tag;
use crate::vars::{self, Substituted, Vars};

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Bytes that are sent as they are.
    Text(Vec<u8>),
    /// A hole.
    Include(Include),
    /// `<esi:try>`: the second list stands in when a fragment of the first one fails.
    Try {
        /// `<esi:attempt>`
        attempt: Vec<Node>,
        /// `<esi:except>`
        except: Vec<Node>,
    },
}

impl Node {
    /// How much memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let within = match self {
            Node::Text(text) => text.len(),
            Node::Include(include) => include.src.len() + include.alt.as_ref().map_or(0, String::len),
            Node::Try { attempt, except } => bytes(attempt) + bytes(except),
        };
        size_of::<Node>() + within
    }
}

/// How much memory all of them take, about.
pub(crate) fn bytes(nodes: &[Node]) -> usize {
    nodes.iter().map(Node::bytes).sum()
}

/// `<esi:include>`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// Where the fragment is, as written, with its variables replaced.
    pub src: String,
    /// Where else it may be had.
    pub alt: Option<String>,
    /// `onerror="continue"`: without it, a failure reaches the `try` around it.
    pub continues: bool,
    /// `maxwait`, in milliseconds.
    pub maxwait: Option<Duration>,
}

/// Reads a page as it arrives.
pub struct Parser {
    lexer: Lexer,
    frames: Vec<Frame>,
    limits: Limits,
    /// How many open tags beyond `nesting_max` were left aside.
    beyond: usize,
    /// Bytes of what stands in open elements. Beyond `bytes_max` nothing is added to them: one that never ends does not fill
    /// the memory.
    held: usize,
    /// Text that may be the beginning of a variable.
    variable: Vec<u8>,
    /// Bytes that the values of variables may still take.
    left: usize,
}

/// An element that is not closed yet.
struct Frame {
    kind: Kind,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Dropped(&'static str),
    Kept(&'static str),
    Vars,
    Try { attempt: Vec<Node>, except: Vec<Node> },
    Choose { taken: bool },
    Comment,
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Dropped(name) | Kind::Kept(name) => name,
            Kind::Vars => "vars",
            Kind::Try { .. } => "try",
            Kind::Choose { .. } => "choose",
            Kind::Comment => "",
        }
    }
}

impl Parser {
    /// A parser at the beginning of a page.
    #[must_use]
    pub fn new(limits: &Limits) -> Parser {
        Parser {
            lexer: Lexer::new(limits.tag_bytes_max),
            frames: Vec::new(),
            limits: *limits,
            beyond: 0,
            held: 0,
            variable: Vec::new(),
            left: 0,
        }
    }

    /// The nodes that are complete with these bytes. Malformed markup is never an error: what cannot be read is text or
    /// left out. So are values of variables where those of one piece come to more than `bytes_max`.
    pub fn feed(&mut self, bytes: &[u8], vars: &dyn Vars) -> Vec<Node> {
        let tokens = self.lexer.feed(bytes, false);
        self.take(tokens, vars)
    }

    /// The rest of the nodes: elements that were never closed end here.
    pub fn finish(&mut self, vars: &dyn Vars) -> Vec<Node> {
        let tokens = self.lexer.feed(&[], true);
        let mut nodes = self.take(tokens, vars);
        self.end_variable(&mut nodes);
        while !self.frames.is_empty() {
            self.pop(&mut nodes);
        }
        nodes
    }

    fn take(&mut self, tokens: Vec<Token>, vars: &dyn Vars) -> Vec<Node> {
        let mut nodes = Vec::new();
        self.left = self.limits.bytes_max;
        for token in tokens {
            if !matches!(token, Token::Text(_)) {
                self.end_variable(&mut nodes);
            }
            match token {
                Token::Text(text) => self.text(text, vars, &mut nodes),
                Token::Open(tag) => self.open(&tag, vars, &mut nodes),
                Token::Close(name) => self.close(&name, &mut nodes),
                Token::CommentOpen => self.push(Kind::Comment),
                Token::CommentClose => self.close("", &mut nodes),
            }
        }
        nodes
    }

    fn text(&mut self, text: Vec<u8>, vars: &dyn Vars, nodes: &mut Vec<Node>) {
        if self.frames.iter().any(|frame| matches!(frame.kind, Kind::Dropped(_))) {
            return;
        }
        // Between `try` and `attempt` there is nothing but white space.
        if matches!(self.frames.last(), Some(Frame { kind: Kind::Try { .. } | Kind::Choose { .. }, .. })) {
            return;
        }
        if !self.frames.iter().any(|frame| frame.kind == Kind::Vars) {
            return self.add(Node::Text(text), nodes);
        }
        self.variable.extend(text);
        let all = std::mem::take(&mut self.variable);
        let Substituted { text, read } = vars::substitute(&all, vars, vars::for_html, &mut self.left);
        self.variable = all[read..].to_vec();
        self.add(Node::Text(text), nodes);
    }

    /// The text is over: what looked like the beginning of a variable is none.
    fn end_variable(&mut self, nodes: &mut Vec<Node>) {
        let text = std::mem::take(&mut self.variable);
        self.add(Node::Text(text), nodes);
    }

    fn open(&mut self, tag: &Tag, vars: &dyn Vars, nodes: &mut Vec<Node>) {
        let kind = match tag.name.as_str() {
            "include" => return self.include(tag, vars, nodes),
            "remove" => Kind::Dropped("remove"),
            "vars" => Kind::Vars,
            "try" => Kind::Try { attempt: Vec::new(), except: Vec::new() },
            "attempt" => Kind::Kept("attempt"),
            "except" => Kind::Kept("except"),
            "choose" => Kind::Choose { taken: false },
            "when" => {
                let test = tag.attribute("test").unwrap_or_default();
                self.branch("when", || expression::holds(test, vars))
            }
            "otherwise" => self.branch("otherwise", || true),
            _ => return,
        };
        if !tag.is_empty_element {
            self.push(kind);
        }
    }

    fn include(&mut self, tag: &Tag, vars: &dyn Vars, nodes: &mut Vec<Node>) {
        let mut url = |name| {
            let url = vars::substitute_all(tag.attribute(name)?.trim().as_bytes(), vars, vars::for_url, &mut self.left);
            let fits = !url.is_empty() && url.len() <= self.limits.tag_bytes_max;
            String::from_utf8(url).ok().filter(|_| fits)
        };
        let (src, alt) = (url("src"), url("alt"));
        let Some(src) = src else { return };
        let maxwait = tag.attribute("maxwait").and_then(|ms| ms.trim().parse().ok()).map(Duration::from_millis);
        let continues = tag.attribute("onerror") == Some("continue");
        self.add(Node::Include(Include { src, alt, continues, maxwait }), nodes);
    }

    /// The first branch of a `choose` whose test holds is kept; outside of one none is.
    fn branch(&mut self, name: &'static str, test: impl Fn() -> bool) -> Kind {
        match self.frames.last_mut() {
            Some(Frame { kind: Kind::Choose { taken }, .. }) if !*taken && test() => {
                *taken = true;
                Kind::Kept(name)
            }
            _ => Kind::Dropped(name),
        }
    }

    fn push(&mut self, kind: Kind) {
        if self.frames.len() < self.limits.nesting_max {
            self.frames.push(Frame { kind, nodes: Vec::new() });
        } else {
            self.beyond += 1;
        }
    }

    /// Closes an element and all that are open within it; a tag that closes nothing is left out.
    fn close(&mut self, name: &str, nodes: &mut Vec<Node>) {
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        let Some(at) = self.frames.iter().rposition(|frame| frame.kind.name() == name) else { return };
        while self.frames.len() > at {
            self.pop(nodes);
        }
    }

    fn pop(&mut self, nodes: &mut Vec<Node>) {
        let Some(Frame { kind, nodes: inside }) = self.frames.pop() else { return };
        match (kind, self.frames.last_mut()) {
            (Kind::Dropped(_), _) => {}
            (Kind::Kept("attempt"), Some(Frame { kind: Kind::Try { attempt, .. }, .. })) => attempt.extend(inside),
            (Kind::Kept("except"), Some(Frame { kind: Kind::Try { except, .. }, .. })) => except.extend(inside),
            (Kind::Try { attempt, except }, _) => self.add(Node::Try { attempt, except }, nodes),
            _ => inside.into_iter().for_each(|node| self.put(node, nodes)),
        }
        if self.frames.is_empty() {
            self.held = 0;
        }
    }

    /// Adds what was read, if there is room for it.
    fn add(&mut self, node: Node, nodes: &mut Vec<Node>) {
        let is_empty = matches!(&node, Node::Text(text) if text.is_empty());
        if !is_empty && self.has_room(&node) {
            self.put(node, nodes);
        }
    }

    /// Whether an open element may hold this too.
    fn has_room(&mut self, node: &Node) -> bool {
        let Some(frame) = self.frames.last() else { return true };
        let bytes = match (frame.nodes.last(), node) {
            (Some(Node::Text(_)), Node::Text(more)) => more.len(),
            // What is within it has been counted.
            (_, Node::Try { .. }) => size_of::<Node>(),
            _ => node.bytes(),
        };
        self.held = self.held.saturating_add(bytes);
        self.held <= self.limits.bytes_max
    }

    /// Puts a node into the innermost element, or out of the parser when there is none.
    fn put(&mut self, node: Node, nodes: &mut Vec<Node>) {
        let list = self.frames.last_mut().map_or(nodes, |frame| &mut frame.nodes);
        match (list.last_mut(), node) {
            (Some(Node::Text(before)), Node::Text(text)) => before.extend(text),
            (_, node) => list.push(node),
        }
    }
}
