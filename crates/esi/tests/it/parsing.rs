//! What a page says.

use std::time::Duration;

use esi::{Include, Limits, Node, Parser, Vars};

/// A request with a host, a query and a cookie.
pub(crate) struct Request;

impl Vars for Request {
    fn get(&self, name: &str, key: Option<&str>) -> Option<String> {
        let value = match (name, key) {
            ("HTTP_HOST", None) => "a.example",
            ("QUERY_STRING", Some("q")) => "1 & <2>",
            ("QUERY_STRING", Some("n")) => "10",
            ("HTTP_COOKIE", Some("group")) => "gold",
            _ => return None,
        };
        Some(value.to_string())
    }
}

pub(crate) fn parse(page: &str) -> Vec<Node> {
    let mut parser = Parser::new(&Limits::default());
    let mut nodes = parser.feed(page.as_bytes(), &Request);
    nodes.extend(parser.finish(&Request));
    nodes
}

/// Nodes as a line: text as it is, `{src}` for a fragment, `[attempt|except]`.
fn line(nodes: &[Node]) -> String {
    let one = |node: &Node| match node {
        Node::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Node::Include(include) => format!("{{{}}}", include.src),
        Node::Try { attempt, except } => format!("[{}|{}]", line(attempt), line(except)),
    };
    nodes.iter().map(one).collect()
}

#[test]
fn elements() {
    for (page, expected) in [
        ("plain <b>text</b> 1 < 2 <", "plain <b>text</b> 1 < 2 <"),
        ("a<esi:include src=\"/x\"/>b", "a{/x}b"),
        ("a<esi:include src='/x' />b<esi:include src=\"/y\"></esi:include>", "a{/x}b{/y}"),
        ("<esi:include src=\"/x?a=1&amp;b=>2\"/>", "{/x?a=1&b=>2}"),
        ("<esi:include/><esi:include src=\"\"/>", ""),
        ("a<esi:remove>b<esi:include src=\"/x\"/></esi:remove>c", "ac"),
        ("a<esi:comment text=\"hm >\"/>b", "ab"),
        ("a<!--esi b<esi:include src=\"/x\"/>-->c-->", "a b{/x}c-->"),
        ("a<!-- b -->c", "a<!-- b -->c"),
        (
            "<esi:try> <esi:attempt>a<esi:include src=\"/x\"/></esi:attempt> <esi:except>b</esi:except></esi:try>c",
            "[a{/x}|b]c",
        ),
        ("<esi:unknown>a</esi:unknown></esi:try>b", "ab"),
        ("<esi:try><esi:attempt>a", "[a|]"),
        ("<esi:remove>a", ""),
        ("<esi:include src=\"/x\"", "<esi:include src=\"/x\""),
    ] {
        assert_eq!(line(&parse(page)), expected, "{page}");
    }
}

#[test]
fn attributes_of_include() {
    let page = "<esi:include src=\"/$(HTTP_HOST)/$(QUERY_STRING{q})\" alt='/y' onerror=\"continue\" maxwait=\"250\"/>";
    let include = Include {
        src: "/a.example/1%20%26%20%3C2%3E".into(),
        alt: Some("/y".into()),
        continues: true,
        maxwait: Some(Duration::from_millis(250)),
    };
    assert_eq!(parse(page), [Node::Include(include)]);
}

#[test]
fn variables() {
    for (page, expected) in [
        (
            "$(HTTP_HOST) <esi:vars>$(HTTP_HOST) $(NONE|'x') $(NONE)$( $(a b)</esi:vars>",
            "$(HTTP_HOST) a.example x $( $(a b)",
        ),
        ("<esi:vars>$(QUERY_STRING{q})</esi:vars>", "1 &amp; &lt;2&gt;"),
        ("<esi:vars><esi:include src=\"/$(HTTP_COOKIE{group})\"/></esi:vars>", "{/gold}"),
    ] {
        assert_eq!(line(&parse(page)), expected, "{page}");
    }
}

#[test]
fn choices() {
    let choose = |tests: &[&str]| {
        let branches: String =
            tests.iter().enumerate().map(|(at, test)| format!("<esi:when test=\"{test}\">{at}</esi:when>")).collect();
        line(&parse(&format!("<esi:choose> {branches} <esi:otherwise>-</esi:otherwise></esi:choose>")))
    };
    assert_eq!(choose(&["$(HTTP_COOKIE{group})=='tin'", "$(HTTP_COOKIE{group}) == 'gold'", "1==1"]), "1");
    for (test, holds) in [
        ("$(QUERY_STRING{n}) > 9", true),
        ("$(QUERY_STRING{n}) <= 9", false),
        ("'10' != '9'", true),
        ("!($(NONE)) & 'a' < 'b'", true),
        ("(1==2) | (1==1)", true),
        ("(1==2) || !(1==1)", false),
        ("$(HTTP_HOST)", true),
        ("", false),
        ("1==1 nonsense", false),
        ("((((((((((((((((((1==1))))))))))))))))))", false),
    ] {
        assert_eq!(choose(&[test]) == "0", holds, "{test}");
    }
    assert_eq!(line(&parse("<esi:when test=\"1==1\">a</esi:when>b")), "b");
}

#[test]
fn a_variable_is_replaced_wherever_a_page_is_cut_and_whatever_its_encoding() {
    let page = b"<esi:vars>\xe4 \xc3\xbc $(HTTP_HOST) $(HTTP_HOST $(QUERY_STRING{n}) $</esi:vars>$(";
    for size in 1..page.len() {
        let mut parser = Parser::new(&Limits::default());
        let mut nodes: Vec<Node> = page.chunks(size).flat_map(|piece| parser.feed(piece, &Request)).collect();
        nodes.extend(parser.finish(&Request));
        let all = nodes.iter().flat_map(|node| match node {
            Node::Text(text) => text.clone(),
            Node::Include(_) | Node::Try { .. } => panic!("{node:?}"),
        });
        assert_eq!(all.collect::<Vec<u8>>(), b"\xe4 \xc3\xbc a.example $(HTTP_HOST 10 $$(", "in pieces of {size}");
    }
}

#[test]
fn values_of_variables_are_bounded() {
    let limits = Limits { bytes_max: 100, ..Limits::default() };
    let mut parser = Parser::new(&limits);
    let page = "<esi:vars>$(HTTP_HOST)</esi:vars>.".repeat(20);
    let first = format!("{}{}", "a.example.".repeat(11), ".".repeat(9));
    assert_eq!(line(&parser.feed(page.as_bytes(), &Request)), first);
    assert_eq!(line(&parser.feed(page.as_bytes(), &Request)), first, "it is a bound of each piece");
    let include = format!("<esi:include src=\"/{}\"/>x", "$(QUERY_STRING{q})".repeat(2));
    let limits = Limits { tag_bytes_max: 60, ..Limits::default() };
    assert_eq!(
        line(&Parser::new(&limits).feed(include.as_bytes(), &Request)),
        "{/1%20%26%20%3C2%3E1%20%26%20%3C2%3E}x"
    );
    let include = format!("<esi:include src=\"/{}\"/>x", "$(QUERY_STRING{q})".repeat(3));
    assert_eq!(
        line(&Parser::new(&limits).feed(include.as_bytes(), &Request)),
        "<esi:include src=\"/{0}{0}{0}\"/>x".replace("{0}", "$(QUERY_STRING{q})")
    );
}

#[test]
fn an_element_without_end_is_bounded_whatever_is_in_it() {
    let limits = Limits { bytes_max: 1 << 12, ..Limits::default() };
    for within in ["text", "<esi:include src=\"/a\"/>", "<esi:try></esi:try>", "a<esi:try></esi:try>"] {
        let mut parser = Parser::new(&limits);
        let mut nodes = parser.feed(b"<esi:try><esi:attempt>", &Request);
        for _ in 0..10_000 {
            nodes.extend(parser.feed(within.as_bytes(), &Request));
        }
        nodes.extend(parser.feed(b"</esi:attempt></esi:try>", &Request));
        let [Node::Try { attempt, .. }] = &nodes[..] else { panic!("{within}") };
        assert!(attempt.len() <= (1 << 12) / size_of::<Node>(), "{} of {within}", attempt.len());
        // The next element has all the room again.
        assert_eq!(line(&parser.feed(b"<esi:vars>next</esi:vars>", &Request)), "next");
    }
}

#[test]
fn tags_that_never_end_are_text() {
    for (page, expected) in
        [("<esi:a <esi:include src=\"/x\"/>", "<esi:a {/x}"), ("<esi:include src=\"/x<y\"/>", "{/x<y}")]
    {
        assert_eq!(line(&parse(page)), expected, "{page}");
    }
    // Each is looked at once: this ends soon.
    let page = "<esi:a ".repeat(1 << 19);
    assert_eq!(line(&parse(&page)), page);
}
