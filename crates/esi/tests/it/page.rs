//! Fragments in the order in which they come, and those that come too late.

use esi::{Failure, Fetch, Limits, Node, Page, Why};

use crate::parsing::parse;

fn page(text: &str) -> Page {
    let mut page = Page::new(Limits::default());
    page.push(parse(text), 0);
    page.end(0);
    page
}

fn include(name: &str) -> String {
    format!("<esi:include src=\"{name}\"/>")
}

fn text(text: &str) -> Vec<Node> {
    vec![Node::Text(text.into())]
}

fn out(page: &mut Page) -> String {
    String::from_utf8(page.output()).unwrap()
}

fn urls(fetches: &[Fetch]) -> Vec<&str> {
    fetches.iter().map(|fetch| fetch.url.as_str()).collect()
}

fn records(page: &mut Page) -> Vec<String> {
    page.records().iter().map(|record| format!("{} {}", record.src, record.why)).collect()
}

#[test]
fn all_are_fetched_at_once_and_sent_in_order() {
    let mut page = page("1<esi:include src=\"a\"/>2<esi:include src=\"b\"/>3");
    let fetches = page.fetches();
    assert_eq!(urls(&fetches), ["a", "b"]);
    assert_eq!(out(&mut page), "1");
    page.arrived(fetches[1].id, Ok(text("B")), 5);
    assert_eq!(out(&mut page), "");
    page.arrived(fetches[0].id, Ok(text("A")), 6);
    assert_eq!((out(&mut page), page.is_done()), ("A2B3".into(), true));
}

#[test]
fn five_quick_fragments_do_not_wait_for_a_slow_one() {
    let names = ["a", "b", "c", "d", "e", "slow"];
    let mut page = page(&names.map(include).concat());
    let fetches = page.fetches();
    for (fetch, now) in fetches[..5].iter().zip(48..) {
        page.expire(now);
        page.arrived(fetch.id, Ok(text(&fetch.url)), now);
    }
    assert_eq!((out(&mut page), page.is_done()), ("abcde".into(), false));
    assert_eq!(page.next_deadline(), Some(62));
    page.expire(61);
    assert!(!page.is_done());
    page.expire(62);
    assert_eq!((out(&mut page), page.is_done()), (String::new(), true));
    assert_eq!(records(&mut page), [""; 0], "how late it is is not known yet");
    page.arrived(fetches[5].id, Ok(text("slow")), 232);
    assert_eq!(records(&mut page), ["slow fragment dropped: 180 ms slower than its page"]);
}

#[test]
fn the_only_fragment_is_waited_for() {
    let mut page = page(&include("a"));
    assert_eq!(page.next_deadline(), Some(1000));
    let id = page.fetches()[0].id;
    page.expire(1000);
    page.arrived(id, Ok(text("A")), 1500);
    assert_eq!(
        (records(&mut page), page.is_done()),
        (vec!["a fragment dropped: 500 ms over its longest wait".to_string()], false)
    );
    assert_eq!((out(&mut page), page.is_done()), (String::new(), true));
}

#[test]
fn maxwait_is_the_fragments_own() {
    let mut page = page("<esi:include src=\"a\" maxwait=\"300\"/><esi:include src=\"b\"/>");
    let fetches = page.fetches();
    page.arrived(fetches[1].id, Ok(text("B")), 5);
    assert_eq!(page.next_deadline(), Some(300));
    page.expire(300);
    assert_eq!(out(&mut page), "B");
}

#[test]
fn a_stale_copy_then_the_other_place_then_nothing() {
    let mut page = page("<esi:include src=\"a\" alt=\"b\" maxwait=\"100\"/>");
    let id = page.fetches()[0].id;
    page.expire(100);
    let alt = page.fetches();
    assert_eq!((urls(&alt), alt[0].id), (vec!["b"], id));
    assert_eq!(page.next_deadline(), Some(200));
    page.arrived(id, Err(Failure::Failed), 150);
    assert_eq!((out(&mut page), page.is_done()), (String::new(), true));
    assert_eq!(records(&mut page), ["a fragment dropped: it could not be fetched"]);

    let mut page = self::page("<esi:include src=\"a\" alt=\"b\" maxwait=\"100\"/>");
    let id = page.fetches()[0].id;
    page.offer_stale(id, text("old"));
    page.expire(100);
    assert_eq!((out(&mut page), page.fetches()), ("old".into(), vec![]));
    assert_eq!(page.records()[0].why, Why::Stale);
}

#[test]
fn a_try_falls_back_and_its_attempt_is_all_or_nothing() {
    let attempt = format!("1{}2{}", include("a"), include("b"));
    let text_of = |attempt: &str| {
        format!("<esi:try><esi:attempt>{attempt}</esi:attempt><esi:except>x{}</esi:except></esi:try>.", include("c"))
    };
    let mut page = page(&text_of(&attempt));
    let fetches = page.fetches();
    assert_eq!(urls(&fetches), ["a", "b"], "the exception is fetched only when it is needed");
    page.arrived(fetches[0].id, Ok(text("A")), 1);
    assert_eq!(out(&mut page), "");
    page.arrived(fetches[1].id, Err(Failure::Refused), 2);
    let except = page.fetches();
    assert_eq!((urls(&except), out(&mut page)), (vec!["c"], "x".into()));
    page.arrived(except[0].id, Ok(text("C")), 3);
    assert_eq!((out(&mut page), page.is_done()), ("C.".into(), true));

    let mut page = self::page(&text_of("<esi:include src=\"a\" onerror=\"continue\"/>ok"));
    let id = page.fetches()[0].id;
    page.arrived(id, Err(Failure::Failed), 1);
    assert_eq!(out(&mut page), "ok.", "a failure that continues is none");
}

#[test]
fn a_late_attempt_is_a_failed_one() {
    let mut page = page(
        "<esi:try><esi:attempt><esi:include src=\"a\" maxwait=\"10\"/></esi:attempt><esi:except>x</esi:except></esi:try>",
    );
    page.expire(10);
    assert_eq!((out(&mut page), page.is_done()), ("x".into(), true));
}

#[test]
fn fragments_within_fragments_are_bounded() {
    let mut page = page(&include("0"));
    for depth in 0..3 {
        let fetch = page.fetches().remove(0);
        assert_eq!(fetch.parent.is_some(), depth > 0);
        page.arrived(fetch.id, Ok(parse(&format!("{depth}{}", include("again")))), depth);
    }
    assert_eq!((page.fetches(), out(&mut page)), (vec![], "012".into()));
    assert_eq!(records(&mut page), ["again fragment dropped: the page has too many"]);
}

#[test]
fn number_and_bytes_are_bounded() {
    let mut page = Page::new(Limits { fragments_max: 2, bytes_max: 4, ..Limits::default() });
    page.push(parse(&["a", "b", "c"].map(include).concat()), 0);
    page.push(text("12345"), 0);
    page.end(0);
    assert_eq!(urls(&page.fetches()), ["a", "b"]);
    assert_eq!(page.records().into_iter().map(|record| record.why).collect::<Vec<_>>(), [Why::TooMany, Why::TooLong]);
}

#[test]
fn what_stands_in_is_decided_at_once_however_deep_it_is() {
    let inner = "<esi:try><esi:attempt>y<esi:include src=\"b\"/></esi:attempt><esi:except>z</esi:except></esi:try>";
    let mut page = Page::new(Limits { fragments_max: 2, ..Limits::default() });
    let attempt = format!("{}{}", include("a"), include("c"));
    page.push(
        parse(&format!("<esi:try><esi:attempt>{attempt}</esi:attempt><esi:except>x{inner}</esi:except></esi:try>.")),
        0,
    );
    page.end(0);
    let fetches = page.fetches();
    page.arrived(fetches[0].id, Err(Failure::Failed), 1);
    // For what the exception has of a fragment there is no place left: that is all, and nothing else happens to the page.
    assert_eq!((page.fetches(), page.next_deadline()), (vec![], None));
    assert_eq!((out(&mut page), page.is_done()), ("xy.".into(), true));
}

#[test]
fn what_was_left_aside_holds_nothing_up_and_takes_no_room() {
    let mut page = page(&format!(
        "<esi:try><esi:attempt>{}{}</esi:attempt><esi:except>x</esi:except></esi:try>{}",
        include("a"),
        include("b"),
        include("c")
    ));
    let fetches = page.fetches();
    page.offer_stale(fetches[2].id, text("an older one"));
    page.arrived(fetches[0].id, Ok(parse(&format!("long {}", include("within")))), 1);
    page.arrived(fetches[1].id, Err(Failure::Failed), 2);
    page.arrived(fetches[2].id, Ok(text("c")), 3);
    assert_eq!((out(&mut page), page.held()), ("xc".into(), 0));
    assert_eq!(
        (page.next_deadline(), page.is_done()),
        (None, true),
        "what is within a failed attempt is not waited for"
    );
}

#[test]
fn of_a_page_without_end_not_all_is_told() {
    let mut page = Page::new(Limits { fragments_max: 2, bytes_max: 4, ..Limits::default() });
    for _ in 0..100 {
        page.push(parse(&include("a")), 0);
        page.push(text("12345"), 0);
    }
    let whys: Vec<Why> = page.records().into_iter().map(|record| record.why).collect();
    assert_eq!(whys, [Why::TooLong, Why::TooMany, Why::TooMany]);
}
