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
