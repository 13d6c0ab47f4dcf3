//! Whatever an application sends, and in whatever pieces.

use esi::{Limits, Node, Page, Parser};
use proptest::prelude::*;

use crate::parsing::{Request, parse};

const PIECES: [&str; 28] = [
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

fn pages() -> impl Strategy<Value = String> {
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
        // Variables that are cut in two stay as they are; everything else is the same.
        if !page.contains("$(") {
            prop_assert_eq!(joined(nodes), joined(parse(&page)));
        }
    }

    #[test]
    fn every_page_is_done_in_the_end(page in pages(), order in prop::collection::vec((0..8_usize, any::<bool>()), 0..40)) {
        let limits = Limits { bytes_max: 300, ..Limits::default() };
        let mut assembled = Page::new(limits);
        assembled.push(parse(&page), 0);
        assembled.end(0);
        let mut fetches = assembled.fetches();
        for (now, (nth, good)) in (1_u64..).zip(order) {
            if !fetches.is_empty() {
                let fetch = fetches.remove(nth % fetches.len());
                let outcome = if good { Ok(parse(&page)) } else { Err(esi::Failure::Failed) };
                assembled.arrived(fetch.id, outcome, now);
                fetches.extend(assembled.fetches());
                prop_assert!(assembled.output().len() <= 300 + page.len());
            }
        }
        for _ in 0..300 {
            let Some(deadline) = assembled.next_deadline() else { break };
            assembled.expire(deadline);
            assembled.output();
        }
        assembled.output();
        prop_assert!(assembled.is_done());
    }
}
