//! Whatever an application sends, and in whatever pieces.

use esi::{Limits, Node, Parser};
use proptest::prelude::*;

use crate::parsing::{Request, parse};

pub(crate) const PIECES: [&str; 28] = [
    "<esi:include src=\"/a\"/>",
    "<esi:include src='",
    "<esi:try>",
    "<esi:attempt>",
    "</esi:attempt>",
    "<esi:except>",
    "</esi:except>",
    "</esi:try>",
    "<esi:choose>",
    "<esi:when test=\"$(QUERY_STRING{n})>1\">",
    "</esi:when>",
    "<esi:otherwise>",
    "</esi:choose>",
    "<esi:vars>",
    "</esi:vars>",
    "<esi:remove>",
    "</esi:remove>",
    "<!--esi",
    "-->",
    "<!--",
    "<",
    "$(",
    "$(HTTP_HOST)",
    "\"",
    "'>",
    "text",
    "\u{fc}",
    "/>",
];

pub(crate) fn pages() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat())
}

/// Neighbouring texts are one: where a page was cut is no matter.
fn joined(nodes: Vec<Node>) -> Vec<Node> {
    let mut all: Vec<Node> = Vec::new();
    for node in nodes {
        match (all.last_mut(), node) {
            (Some(Node::Text(before)), Node::Text(text)) => before.extend(text),
            (_, node) => all.push(node),
        }
    }
    all
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut parser = Parser::new(&Limits::default());
        parser.feed(&bytes, &Request);
        parser.finish(&Request);
    }

    #[test]
    fn a_page_means_the_same_in_any_pieces(page in pages(), cuts in prop::collection::vec(1..9_usize, 1..40)) {
        let mut parser = Parser::new(&Limits::default());
        let (mut nodes, mut rest) = (Vec::new(), page.as_bytes());
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            nodes.extend(parser.feed(now, &Request));
            rest = later;
            if rest.is_empty() { break }
        }
        nodes.extend(parser.finish(&Request));
        prop_assert_eq!(joined(nodes), joined(parse(&page)));
    }
}
