//! Any bytes as a page with fragments: never a panic, the same however they come in pieces, and a page that ends in a bounded
//! number of steps with a bounded number of bytes held, in whatever order its fragments come, fail or stay away.
//!
//! The first byte says how many of the next ones are that order; what is behind them is the page, and all of its fragments.
#![no_main]

use esi::{Failure, FragmentId, Limits, Node, Page, Parser, Vars};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    depth_max: 3,
    fragments_max: 16,
    nesting_max: 8,
    tag_bytes_max: 512,
    bytes_max: 4096,
    wait_ms_max: 100,
    wait_ms_min: 3,
    grace_ms: 2,
};
/// Each fragment is asked for in two places at most.
const FETCHES_MAX: usize = 2 * LIMITS.fragments_max;

struct Request;

impl Vars for Request {
    fn get(&self, name: &str, key: Option<&str>) -> Option<String> {
        (name.len() < 4).then(|| format!("{name}<{}&", key.unwrap_or_default()))
    }
}

/// Nodes of a page that comes in pieces of `size`, with neighbouring text put together.
fn parsed(bytes: &[u8], size: usize, limits: &Limits) -> Vec<Node> {
    let mut parser = Parser::new(limits);
    let mut nodes: Vec<Node> = bytes.chunks(size.max(1)).flat_map(|piece| parser.feed(piece, &Request)).collect();
    nodes.extend(parser.finish(&Request));
    let mut joined: Vec<Node> = Vec::new();
    for node in nodes {
        match (joined.last_mut(), node) {
            (Some(Node::Text(before)), Node::Text(text)) => before.extend(text),
            (_, node) => joined.push(node),
        }
    }
    joined
}

fn in_any_pieces(bytes: &[u8]) {
    let limits = Limits { tag_bytes_max: 64, ..Limits::default() };
    let whole = parsed(bytes, bytes.len(), &limits);
    assert_eq!(parsed(bytes, 1, &limits), whole);
    assert_eq!(parsed(bytes, 7, &limits), whole);
    if !bytes.contains(&b'<') {
        let expected = if bytes.is_empty() { vec![] } else { vec![Node::Text(bytes.to_vec())] };
        assert_eq!(whole, expected);
    }
}

/// What a driver does after each event.
fn look(page: &mut Page, fetched: &mut Vec<FragmentId>) {
    fetched.extend(page.fetches().iter().map(|fetch| fetch.id));
    assert!(fetched.len() <= FETCHES_MAX && page.held() <= LIMITS.bytes_max);
    assert!(page.records().len() <= 2 + 3 * LIMITS.fragments_max);
    if page.next_deadline().is_none() {
        page.output();
        assert_eq!(page.held(), 0, "nothing is waited for, and yet not all is out");
    }
}

fn in_any_order(order: &[u8], bytes: &[u8]) {
    let (mut page, mut now, mut fetched) = (Page::new(LIMITS), 0, Vec::new());
    let document = parsed(bytes, bytes.len(), &LIMITS);
    page.push(document.clone(), now);
    page.end(now);
    look(&mut page, &mut fetched);
    for event in order {
        let id = fetched.get(usize::from(event >> 3)).copied();
        match (event & 7, id) {
            (0..3, Some(id)) => page.arrived(id, Ok(document.clone()), now),
            (3..5, Some(id)) => page.arrived(id, Err(Failure::Failed), now),
            (5, Some(id)) => page.offer_stale(id, document.clone()),
            (6, _) => drop(page.output()),
            _ => {
                now += u64::from(event >> 3);
                page.expire(now);
            }
        }
        look(&mut page, &mut fetched);
    }
    for _ in 0..=FETCHES_MAX {
        let Some(deadline) = page.next_deadline() else { break };
        now = now.max(deadline);
        page.expire(now);
        look(&mut page, &mut fetched);
    }
    page.output();
    assert!(page.is_done() && page.held() == 0, "a page without an end");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((events, bytes)) = bytes.split_first() else { return };
    let (order, bytes) = bytes.split_at(bytes.len().min(usize::from(events % 64)));
    in_any_pieces(bytes);
    in_any_order(order, bytes);
});
