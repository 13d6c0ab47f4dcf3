//! A page and its fragments, put together as they come. Times are milliseconds of one monotonic clock.

mod deadline;
mod record;
mod tries;

use std::collections::VecDeque;

use crate::Limits;
use crate::parser::{Include, Node, bytes};
pub use deadline::Late;
pub use record::{Failure, Record, Why};

/// Names one fragment of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentId(usize);

/// A fragment to fetch now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Which one; the same again when its `alt` is tried.
    pub id: FragmentId,
    /// As written in the page; the driver resolves it and asks no host that no route names.
    pub url: String,
    /// The fragment whose body asks for it; `None` for the page itself.
    pub parent: Option<FragmentId>,
}

enum Part {
    Text(Vec<u8>),
    Fragment(FragmentId),
    /// Text and fragments that are sent together.
    Group(VecDeque<Part>),
    Try {
        attempt: VecDeque<Part>,
        except: Vec<Node>,
        parent: Option<FragmentId>,
        depth: u8,
    },
}

enum State {
    Pending,
    Body(VecDeque<Part>),
    /// Its failure is for a `try` to see; without one there is nothing in its place.
    Failed,
    /// Nothing is in its place.
    Empty,
}

struct Fragment {
    include: Include,
    parent: Option<FragmentId>,
    depth: u8,
    started: u64,
    state: State,
    stale: Option<Vec<Node>>,
    tried_alt: bool,
    /// When its time was over, and whether that was because the rest of the page was ready.
    late: Option<(u64, bool)>,
}

/// A page being put together.
pub struct Page {
    limits: Limits,
    parts: VecDeque<Part>,
    fragments: Vec<Fragment>,
    fetches: Vec<Fetch>,
    records: Vec<Record>,
    /// When the last of the page itself arrived.
    template: Option<u64>,
    /// When the last fragment arrived.
    arrival: u64,
    /// Bytes of text that wait to be sent, and of what may come in the place of something.
    held: usize,
    /// Fragments beyond those that a page may have.
    beyond: usize,
    /// Text was dropped.
    is_cut: bool,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(limits: Limits) -> Page {
        Page {
            limits,
            parts: VecDeque::new(),
            fragments: Vec::new(),
            fetches: Vec::new(),
            records: Vec::new(),
            template: None,
            arrival: 0,
            held: 0,
            beyond: 0,
            is_cut: false,
        }
    }

    /// Takes in more of the page itself.
    pub fn push(&mut self, nodes: Vec<Node>, now: u64) {
        let parts = self.plan(nodes, None, 0, now);
        let mut all = std::mem::take(&mut self.parts);
        parts.into_iter().for_each(|part| add(&mut all, part));
        self.parts = all;
    }

    /// The page itself is complete.
    pub fn end(&mut self, now: u64) {
        self.template = Some(now);
        self.settle(now);
    }

    /// The fragments to fetch now, all at once.
    pub fn fetches(&mut self) -> Vec<Fetch> {
        std::mem::take(&mut self.fetches)
    }

    /// Whether there is something to fetch, or something to know.
    #[must_use]
    pub fn wants(&self) -> bool {
        !self.fetches.is_empty() || !self.records.is_empty()
    }

    /// What happened that somebody should know.
    pub fn records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// A stale copy of a fragment is at hand, for when a new one is late or cannot be had. Without room for it there is none.
    pub fn offer_stale(&mut self, id: FragmentId, nodes: Vec<Node>) {
        if !self.awaits(id) {
            return;
        }
        self.forget_stale(id);
        if self.take_room(bytes(&nodes)) {
            self.fragments[id.0].stale = Some(nodes);
        }
    }

    /// A fetch ended. A fragment that was dropped before only makes a record that says how much too late it is.
    pub fn arrived(&mut self, id: FragmentId, outcome: Result<Vec<Node>, Failure>, now: u64) {
        let Some(fragment) = self.fragments.get_mut(id.0) else { return };
        if !matches!(fragment.state, State::Pending) {
            if let Some((at, by_page)) = fragment.late.take() {
                let ms = now.saturating_sub(at);
                let why = if by_page { Why::Slower(ms) } else { Why::Over(ms) };
                self.record(id, why);
            }
            return;
        }
        self.arrival = self.arrival.max(now);
        match outcome {
            Ok(nodes) => {
                self.forget_stale(id);
                self.fill(id, nodes, now);
            }
            Err(failure) => self.give_up(id, Why::Missing(failure), now),
        }
        self.settle(now);
    }

    /// The bytes that can be sent now: all up to the first hole that is not filled.
    pub fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut parts = std::mem::take(&mut self.parts);
        self.drain(&mut parts, &mut out);
        self.parts = parts;
        self.release(out.len());
        out
    }

    /// Whether all of the page has been given out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.template.is_some() && self.parts.is_empty()
    }

    /// Makes parts of nodes, and starts their fragments.
    fn plan(&mut self, nodes: Vec<Node>, parent: Option<FragmentId>, depth: u8, now: u64) -> VecDeque<Part> {
        let mut parts = VecDeque::new();
        for node in nodes {
            match node {
                Node::Text(text) => {
                    if self.take_room(text.len()) {
                        add(&mut parts, Part::Text(text));
                    } else {
                        self.cut();
                    }
                }
                Node::Include(include) => {
                    parts.extend(self.start(include, parent, depth, now).map(Part::Fragment));
                }
                Node::Try { attempt, except } => {
                    let attempt = self.plan(attempt, parent, depth, now);
                    if attempt.iter().all(|part| matches!(part, Part::Text(_))) {
                        // It cannot fail: what is kept of a page is bounded by its text and its fragments.
                        attempt.into_iter().for_each(|part| add(&mut parts, part));
                        continue;
                    }
                    let has_room = self.take_room(bytes(&except));
                    if !has_room {
                        self.cut();
                    }
                    let except = if has_room { except } else { Vec::new() };
                    parts.push_back(Part::Try { attempt, except, parent, depth });
                }
            }
        }
        parts
    }

    /// Takes room for bytes that wait, if there is so much.
    fn take_room(&mut self, bytes: usize) -> bool {
        let held = self.held.saturating_add(bytes);
        let fits = held <= self.limits.bytes_max;
        if fits {
            self.held = held;
        }
        fits
    }

    fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn forget_stale(&mut self, id: FragmentId) {
        if let Some(nodes) = self.fragments[id.0].stale.take() {
            self.release(bytes(&nodes));
        }
    }

    /// Something has no room; said once.
    fn cut(&mut self) {
        if !std::mem::replace(&mut self.is_cut, true) {
            self.records.push(Record { src: String::new(), why: Why::TooLong });
        }
    }

    fn start(&mut self, include: Include, parent: Option<FragmentId>, depth: u8, now: u64) -> Option<FragmentId> {
        if depth >= self.limits.depth_max || self.fragments.len() >= self.limits.fragments_max {
            self.beyond += 1;
            // Of a page with endlessly many not all are told of.
            if self.beyond <= self.limits.fragments_max {
                self.records.push(Record { src: include.src, why: Why::TooMany });
            }
            return None;
        }
        let id = FragmentId(self.fragments.len());
        self.fetches.push(Fetch { id, url: include.src.clone(), parent });
        self.fragments.push(Fragment {
            include,
            parent,
            depth,
            started: now,
            state: State::Pending,
            stale: None,
            tried_alt: false,
            late: None,
        });
        Some(id)
    }

    fn fill(&mut self, id: FragmentId, nodes: Vec<Node>, now: u64) {
        let depth = self.fragments[id.0].depth + 1;
        let parts = self.plan(nodes, Some(id), depth, now);
        self.fragments[id.0].state = State::Body(parts);
    }

    /// A stale copy, the other place, or nothing: in this order.
    fn give_up(&mut self, id: FragmentId, why: Why, now: u64) {
        let fragment = &mut self.fragments[id.0];
        if let Some(nodes) = fragment.stale.take() {
            self.release(bytes(&nodes));
            self.record(id, Why::Stale);
            return self.fill(id, nodes, now);
        }
        if let Some(url) = fragment.include.alt.clone().filter(|_| !fragment.tried_alt) {
            fragment.tried_alt = true;
            fragment.started = now;
            fragment.late = None;
            let parent = fragment.parent;
            return self.fetches.push(Fetch { id, url, parent });
        }
        fragment.state = if fragment.include.continues { State::Empty } else { State::Failed };
        // How late a late one is will be known when it comes.
        if fragment.late.is_none() {
            self.record(id, why);
        }
    }

    fn record(&mut self, id: FragmentId, why: Why) {
        let src = self.fragments[id.0].include.src.clone();
        self.records.push(Record { src, why });
    }

    /// Moves what can be sent from `parts` to `out`; whether that was all.
    fn drain(&mut self, parts: &mut VecDeque<Part>, out: &mut Vec<u8>) -> bool {
        while let Some(part) = parts.front_mut() {
            let all = match part {
                Part::Text(text) => {
                    out.append(text);
                    true
                }
                Part::Group(group) => self.drain(group, out),
                Part::Try { .. } => false,
                Part::Fragment(id) => {
                    let id = *id;
                    match std::mem::replace(&mut self.fragments[id.0].state, State::Empty) {
                        State::Body(mut body) => {
                            let all = self.drain(&mut body, out);
                            self.fragments[id.0].state = State::Body(body);
                            all
                        }
                        State::Pending => {
                            self.fragments[id.0].state = State::Pending;
                            false
                        }
                        State::Failed | State::Empty => true,
                    }
                }
            };
            if !all {
                return false;
            }
            parts.pop_front();
        }
        true
    }
}

/// Adds a part; neighbouring texts are one.
fn add(parts: &mut VecDeque<Part>, part: Part) {
    match (parts.back_mut(), part) {
        (Some(Part::Text(before)), Part::Text(more)) => before.extend(more),
        (_, part) => parts.push_back(part),
    }
}
