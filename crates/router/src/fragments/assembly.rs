//! A page on its way: its template comes in, its fragments are fetched beside it, and what is complete goes out.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use esi::{Failure, Fetch, FragmentId, Limits, Node, Parser, Record, Why};
use http::HeaderMap;
use http_body::Frame;
use stdx::clock::Mono;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, Sleep, sleep_until};

use super::address::Address;
use super::fetch::{self, Errand, millis};
use super::slot::{Arrival, Body, Desk, Late, Stale};
use super::{Page, Slot, Vantage};
use crate::access::{Unfit, What};

/// What puts one page together.
pub(crate) struct Assembly {
    page: Page,
    vantage: Vantage,
    /// The fields of fragments' requests.
    shared: HeaderMap,
    limits: Limits,
    longest: Duration,
    began: Mono,
    parser: Parser,
    parts: esi::Page,
    /// The template is complete.
    read: bool,
    desk: Rc<Desk>,
    /// Every fetch that was asked for, in order; an `alt` is one of its own.
    asked: Vec<Asked>,
    /// Those that wait for their turn.
    waiting: VecDeque<usize>,
    running: usize,
    told: Vec<What>,
    timer: Option<(u64, Pin<Box<Sleep>>)>,
    /// The room of the fragments that have come.
    room: Option<OwnedSemaphorePermit>,
}

/// A fragment that was asked for.
struct Asked {
    id: FragmentId,
    parent: Option<FragmentId>,
    address: Address,
    slot: Rc<Slot>,
    task: Option<AbortHandle>,
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly").field("page", &self.page).finish_non_exhaustive()
    }
}

impl Assembly {
    pub(super) fn new(mut page: Page, vantage: Vantage) -> Assembly {
        let limits = page.rule.limits();
        let shared = fetch::shared_fields(std::mem::take(&mut page.headers));
        // Variables are looked up in the same fields.
        page.headers = shared.clone();
        Assembly {
            limits,
            longest: Duration::from_millis(page.rule.fetch_ms_max.into()),
            began: vantage.worker.now(),
            parser: Parser::new(&limits),
            parts: esi::Page::new(limits),
            read: false,
            desk: Rc::default(),
            asked: Vec::new(),
            waiting: VecDeque::new(),
            running: 0,
            told: Vec::new(),
            timer: None,
            room: None,
            page,
            vantage,
            shared,
        }
    }

    /// Whether all of the page has been given out.
    pub(crate) fn is_ended(&self) -> bool {
        self.parts.is_done()
    }

    /// What happened that the page's record should tell.
    pub(crate) fn told(&mut self) -> Vec<What> {
        std::mem::take(&mut self.told)
    }

    /// The next piece of the page, whose template `next` gives.
    pub(crate) fn poll<E>(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.desk.listen(cx.waker());
        loop {
            self.settle();
            let out = self.parts.output();
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
            if self.parts.is_done() {
                return Poll::Ready(None);
            }
            let is_full = self.parts.held() >= self.limits.bytes_max / 2;
            if !self.read && !is_full {
                match next(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.take(frame);
                        continue;
                    }
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Some(Err(fault))),
                    Poll::Ready(None) => {
                        self.end();
                        continue;
                    }
                    Poll::Pending => {}
                }
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn now(&self) -> u64 {
        millis(self.vantage.worker.now().since(self.began))
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        if let Ok(piece) = frame.into_data() {
            let nodes = self.parser.feed(&piece, &self.page);
            self.parts.push(nodes, self.now());
        }
    }

    fn end(&mut self) {
        self.read = true;
        let now = self.now();
        self.parts.push(self.parser.finish(&self.page), now);
        self.parts.end(now);
    }

    /// Ready when a fragment's time is over.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.parts.next_deadline() else { return Poll::Pending };
        let left = Duration::from_millis(deadline.saturating_sub(self.now()).max(1));
        if self.timer.as_ref().is_none_or(|(of, _)| *of != deadline) {
            self.timer = Some((deadline, Box::pin(sleep_until(Instant::now() + left))));
        }
        let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
        let polled = timer.as_mut().poll(cx);
        if polled.is_ready() {
            self.timer = None;
        }
        polled
    }

    /// Takes in what has come, gives up what is late and asks for what is wanted, until nothing of that is left.
    fn settle(&mut self) {
        loop {
            for arrival in self.desk.take() {
                self.arrived(arrival);
            }
            let now = self.now();
            while let Some(late) = self.parts.overdue(now) {
                self.give_up(&late, now);
            }
            let records = self.parts.records();
            self.told.extend(records.into_iter().filter_map(told));
            for fetch in self.parts.fetches() {
                self.ask(&fetch, now);
            }
            while self.running < self.page.rule.parallel_max.into()
                && let Some(at) = self.waiting.pop_front()
            {
                self.start(at, now);
            }
            // What was refused may be had elsewhere.
            if !self.parts.wants() {
                return;
            }
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        let Arrival { fetch, at, outcome } = arrival;
        self.running -= 1;
        let id = self.asked[fetch].id;
        let is_latest = self.latest(id) == Some(fetch);
        if !is_latest || !self.parts.awaits(id) {
            return;
        }
        let nodes = outcome.map(|Body { bytes, nests, permit }| {
            match (&mut self.room, permit) {
                (Some(room), Some(more)) => room.merge(more),
                (room @ None, more) => *room = more,
                (Some(_), None) => {}
            }
            self.nodes(&[bytes.into()], nests)
        });
        self.parts.arrived(id, nodes, millis(at.since(self.began)));
    }

    fn latest(&self, id: FragmentId) -> Option<usize> {
        self.asked.iter().rposition(|asked| asked.id == id)
    }

    fn nodes(&self, pieces: &[Bytes], nests: bool) -> Vec<Node> {
        if !nests {
            return pieces.iter().map(|piece| Node::Text(piece.to_vec())).collect();
        }
        let mut parser = Parser::new(&self.limits);
        let mut nodes: Vec<Node> = pieces.iter().flat_map(|piece| parser.feed(piece, &self.page)).collect();
        nodes.extend(parser.finish(&self.page));
        nodes
    }

    fn give_up(&mut self, late: &esi::Late, now: u64) {
        if let Some(asked) = self.latest(late.id).map(|at| &self.asked[at]) {
            let since = self.began + Duration::from_millis(late.since);
            asked.slot.late.set(Some(Late { since, by_page: late.by_page }));
            if let Some(Stale { chunks, nests }) = asked.slot.stale() {
                let nodes = self.nodes(&chunks, nests);
                self.parts.offer_stale(late.id, nodes);
            }
        }
        if self.parts.give_up_late(late, now) {
            let why = if late.by_page { Unfit::Slower } else { Unfit::Over };
            self.told.push(What::FragmentDropped(late.src.as_str().into(), why));
        }
    }

    /// Notes a fragment that is to be fetched, or refuses it.
    fn ask(&mut self, fetch: &Fetch, now: u64) {
        let Some(address) = self.address(fetch) else {
            return self.parts.arrived(fetch.id, Err(Failure::Refused), now);
        };
        let slot = Slot::new(self.longest);
        self.waiting.push_back(self.asked.len());
        self.asked.push(Asked { id: fetch.id, parent: fetch.parent, address, slot, task: None });
    }

    /// Where a fragment is; none where no route names its host, or where it is within itself.
    fn address(&self, fetch: &Fetch) -> Option<Address> {
        let at = |id| self.latest(id).map(|at| &self.asked[at]);
        let document = fetch.parent.and_then(at).map_or(&self.page.address, |asked| &asked.address);
        let snapshot = self.vantage.worker.snapshot();
        let address = document.resolve(&fetch.url, &self.page.address, |host| snapshot.by_host.contains_key(host))?;
        let mut around = fetch.parent.and_then(at);
        while let Some(asked) = around {
            if asked.address == address {
                return None;
            }
            around = asked.parent.and_then(at);
        }
        (address != self.page.address).then_some(address)
    }

    fn start(&mut self, at: usize, now: u64) {
        let asked = &mut self.asked[at];
        if !self.parts.awaits(asked.id) {
            return;
        }
        let Some(head) = fetch::head(&asked.address, &self.shared) else {
            return self.parts.arrived(asked.id, Err(Failure::Refused), now);
        };
        let errand = Errand {
            vantage: self.vantage.clone(),
            head,
            slot: Rc::clone(&asked.slot),
            desk: Rc::clone(&self.desk),
            fetch: at,
            bytes_max: self.page.rule.fragment_bytes_max,
        };
        self.running += 1;
        asked.task = Some(spawn_local(fetch::run(errand)).abort_handle());
    }
}

/// What the page's record tells of what the assembler says.
fn told(record: Record) -> Option<What> {
    let why = match record.why {
        Why::Stale => return Some(What::FragmentStale(record.src.into())),
        // How late a late one is its own record tells.
        Why::Slower(_) | Why::Over(_) => return None,
        Why::Missing(Failure::Failed) => Unfit::Failed,
        Why::Missing(Failure::Refused) => Unfit::Refused,
        Why::TooMany => Unfit::TooMany,
        Why::TooLong => Unfit::TooLong,
    };
    Some(What::FragmentDropped(record.src.into(), why))
}

impl Drop for Assembly {
    fn drop(&mut self) {
        if self.parts.is_done() {
            // The late ones are still worth something to caches, and tell how late they are.
            return;
        }
        for asked in &self.asked {
            if let Some(task) = &asked.task {
                task.abort();
            }
        }
    }
}
