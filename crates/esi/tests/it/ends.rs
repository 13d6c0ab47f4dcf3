//! Every page comes to its end: whatever bytes it is made of, and in whatever order its fragments come, fail or stay away, in a
//! bounded number of steps and with a bounded number of bytes held.

use esi::{Failure, FragmentId, Limits, Node, Page, Parser};
use proptest::prelude::*;

use crate::garbage::pages;
use crate::parsing::Request;

const LIMITS: Limits = Limits {
    depth_max: 3,
    fragments_max: 6,
    nesting_max: 5,
    tag_bytes_max: 64,
    bytes_max: 300,
    wait_ms_max: 50,
    wait_ms_min: 5,
    grace_ms: 3,
};
/// Each fragment is asked for in two places at most.
const FETCHES_MAX: usize = 2 * LIMITS.fragments_max;

#[derive(Clone, Debug)]
enum Event {
    /// So many more bytes of the page.
    Piece(usize),
    /// One of the fetches, with this document or without any.
    Arrival(usize, Option<usize>),
    Stale(usize, usize),
    Time(u64),
    /// The client takes what there is.
    Output,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        (0..80_usize).prop_map(Event::Piece),
        (0..8_usize, prop::option::of(0..4_usize)).prop_map(|(nth, document)| Event::Arrival(nth, document)),
        (0..8_usize, 0..4_usize).prop_map(|(nth, document)| Event::Stale(nth, document)),
        (0..60_u64).prop_map(Event::Time),
        Just(Event::Output),
    ];
    prop::collection::vec(one, 0..60)
}

fn documents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![3 => pages().prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..200)];
    prop::collection::vec(one, 4)
}

/// A page under way, with all that is looked at.
struct Run {
    page: Page,
    parser: Parser,
    now: u64,
    fetched: Vec<FragmentId>,
    records: usize,
    events: usize,
}

impl Run {
    fn new() -> Run {
        let (page, parser) = (Page::new(LIMITS), Parser::new(&LIMITS));
        Run { page, parser, now: 0, fetched: Vec::new(), records: 0, events: 0 }
    }

    /// What a driver does after each event.
    fn look(&mut self) {
        self.events += 1;
        let fetches = self.page.fetches();
        self.fetched.extend(fetches.iter().map(|fetch| fetch.id));
        self.records += self.page.records().len();
        assert!(self.page.held() <= LIMITS.bytes_max, "{}", self.page.held());
        assert!(self.fetched.len() <= FETCHES_MAX, "{}", self.fetched.len());
        // Cut once; too many of them; each late and then replaced or not.
        assert!(self.records <= 1 + 4 * LIMITS.fragments_max + self.events, "{}", self.records);
        if self.page.next_deadline().is_none() {
            self.page.output();
            assert_eq!(self.page.held(), 0, "nothing is waited for, and yet not all is out");
        }
    }

    fn event(&mut self, event: &Event, template: &mut &[u8], documents: &[Vec<u8>]) {
        match event {
            Event::Piece(bytes) => {
                let (piece, rest) = template.split_at(template.len().min(*bytes));
                *template = rest;
                let nodes = self.parser.feed(piece, &Request);
                self.page.push(nodes, self.now);
            }
            Event::Arrival(nth, document) => {
                let Some(id) = self.fetched.get(*nth) else { return };
                let outcome = document.map_or(Err(Failure::Failed), |nth| Ok(nodes(&documents[nth])));
                self.page.arrived(*id, outcome, self.now);
            }
            Event::Stale(nth, document) => {
                let Some(id) = self.fetched.get(*nth) else { return };
                self.page.offer_stale(*id, nodes(&documents[*document]));
            }
            Event::Time(ms) => {
                self.now += ms;
                self.page.expire(self.now);
            }
            Event::Output => drop(self.page.output()),
        }
        self.look();
    }

    fn end(&mut self) {
        self.page.push(self.parser.finish(&Request), self.now);
        self.page.end(self.now);
        self.look();
    }
}

fn nodes(document: &[u8]) -> Vec<Node> {
    let mut parser = Parser::new(&LIMITS);
    let mut nodes = parser.feed(document, &Request);
    nodes.extend(parser.finish(&Request));
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Nothing else comes after these events: deadlines alone end the page, each once for a fragment and once for its `alt`.
    #[test]
    fn by_deadlines_alone(documents in documents(), events in events()) {
        let (mut run, mut template) = (Run::new(), documents[0].as_slice());
        for event in &events {
            run.event(event, &mut template, &documents);
        }
        run.event(&Event::Piece(usize::MAX), &mut template, &documents);
        run.end();
        let mut steps = 0;
        while let Some(deadline) = run.page.next_deadline() {
            prop_assert!(steps <= FETCHES_MAX, "{steps} deadlines of {FETCHES_MAX} fetches");
            steps += 1;
            run.now = run.now.max(deadline);
            run.page.expire(run.now);
            run.look();
        }
        run.page.output();
        prop_assert!(run.page.is_done());
        prop_assert_eq!(run.page.held(), 0);
    }

    /// Every fetch ends, in any order, and no time passes: the page does too.
    #[test]
    fn by_arrivals_alone(documents in documents(), order in prop::collection::vec((0..8_usize, prop::option::of(0..4_usize)), 1..40)) {
        let mut run = Run::new();
        run.event(&Event::Piece(usize::MAX), &mut documents[0].as_slice(), &documents);
        run.end();
        let (mut seen, mut under_way) = (0, Vec::new());
        for (nth, document) in order.iter().cycle() {
            under_way.extend(run.fetched[seen..].iter().copied());
            seen = run.fetched.len();
            if under_way.is_empty() { break }
            let id = under_way.remove(nth % under_way.len());
            run.page.arrived(id, document.map_or(Err(Failure::Failed), |nth| Ok(nodes(&documents[nth]))), 0);
            run.look();
        }
        run.page.output();
        prop_assert!(run.page.is_done());
        prop_assert_eq!(run.page.held(), 0);
    }
}
