//! `Idempotency-Key`: one request, however often it is sent, and one answer to all (draft-ietf-httpapi-idempotency-key-header).
//!
//! `key` tells requests apart, `book` decides who is first, `journal` keeps answers on disk, `record` is their form there,
//! `gate` leaves them to the process before this one while that has some under way.
//! An answer is on disk before anybody gets it.

mod book;
mod gate;
mod journal;
mod key;
mod record;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use stdx::clock::Wall;

pub use self::journal::JournalError;
pub(crate) use self::key::{Digest, Hash};
pub(crate) use self::record::Recorded;

use self::book::{Book, Claim, Done, Limits, Place};
use self::gate::{Gate, Inside};
use self::journal::Journal;
use self::key::Fingerprint;
use self::record::Label;
use crate::access::What;
use crate::capacity;
use crate::config::{Config, IdempotencyConfig};
use crate::endpoint::InFlight;
use crate::exchange::Exchange;
use crate::fields;
use crate::forward::Answer;
use crate::link::ReplyContent;
use crate::outbound::Outbound;
use crate::reply::Reply;
use crate::rescue::{Failure, KeyFault};
use crate::tries::Destination;
use crate::worker::Worker;

/// First answers, over all workers.
#[derive(Debug)]
pub(crate) struct Answers {
    book: Mutex<Book>,
    journal: OnceLock<Journal>,
    gate: Arc<Gate>,
    folder: Option<PathBuf>,
    limits: Limits,
}

impl Answers {
    /// Kept in a journal in the router's data folder; without one in memory. Requests with a key wait until it is open.
    pub(crate) fn new(config: &Config, data: Option<&Path>) -> Answers {
        let limits = Limits { answers: config.answers_max as usize, bytes: config.answers_bytes_max };
        Answers {
            book: Mutex::new(Book::new(limits)),
            journal: OnceLock::new(),
            gate: Arc::new(Gate::new()),
            folder: data.map(|data| data.join("answers")),
            limits,
        }
    }

    /// Opens the journal, if there is one and it is not open, and lets requests with a key come.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub(crate) fn open(&self) -> Result<(), JournalError> {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.journal.get().is_none()) {
            let mut book = self.book();
            let journal = Journal::open(folder.clone(), self.limits.bytes, &mut |at, payload| {
                if let Some((Label { key, until, fingerprint }, _)) = record::decode(payload) {
                    book.load(key, Done { until, fingerprint, place: Place::Disk(at) });
                }
            })?;
            // Nobody else opens it.
            self.journal.get_or_init(|| journal);
        }
        self.gate.set_open(true);
        Ok(())
    }

    /// Takes no more requests with a key; those under way go on.
    pub(crate) fn close(&self) {
        self.gate.set_open(false);
    }

    /// No request with a key is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.gate.is_empty()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer at a place.
    async fn fetch(&self, place: Place) -> Option<Response<Bytes>> {
        let payload = match place {
            Place::Memory(payload) => payload,
            Place::Disk(at) => self.journal.get()?.read(at).await?,
            Place::Nowhere => return None,
        };
        record::decode(&payload).map(|(_, answer)| answer)
    }
}

/// The turn of a first request; without an answer it goes to whoever comes next.
#[derive(Debug)]
struct Turn {
    worker: Rc<Worker>,
    key: Hash,
    number: u64,
    _inside: Inside,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.worker.shared.answers.book().give_up(self.key, self.number);
    }
}

/// Takes a request of a route with keys to its tries, unless its answer is known.
///
/// # Errors
/// Why the router has to answer itself.
pub(crate) async fn run(
    exchange: &mut Exchange,
    destination: Destination,
    mut outbound: Outbound,
    rule: &IdempotencyConfig,
) -> Result<Reply, Failure> {
    let keyed = matches!(outbound.head().method, Method::POST | Method::PATCH);
    let key = key::of(&outbound.head().headers).map_err(|key::Malformed| KeyFault::Malformed)?.filter(|_| keyed);
    let Some(key) = key else { return Ok(capacity::run(exchange, destination, outbound).await?.into()) };
    let id = key::id(&destination.routed.facts.name, &outbound.head().headers, key);
    let head = key::head(outbound.head());
    if exchange.has_content {
        exchange.meter.digest();
    }
    let turn = match take_turn(exchange, &mut outbound, (id, head), rule).await? {
        Ok(turn) => turn,
        Err(recorded) => return Ok(Reply::Recorded(recorded)),
    };
    outbound.repeat_by_key(rule.app_honours_key);
    let answer = capacity::run(exchange, destination, outbound).await?;
    if matches!(answer.response.status().as_u16(), 429 | 502 | 503 | 504) {
        return Ok(answer.into());
    }
    settle(exchange, turn, head, answer, rule).await
}

/// Waits until it is this request's turn, or its answer is there.
async fn take_turn(
    exchange: &mut Exchange,
    outbound: &mut Outbound,
    (id, head): (Hash, Hash),
    rule: &IdempotencyConfig,
) -> Result<Result<Turn, Recorded>, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let answers = &worker.shared.answers;
    let began = worker.now();
    let patience = Duration::from_millis(rule.wait_ms.into()).min(exchange.time_left(began)?);
    let inside = answers.gate.enter(patience).await.ok_or(KeyFault::UnderWay)?;
    loop {
        let claim = answers.book().claim(id, head, worker.clock.wall());
        let done = match claim {
            Claim::Yours(number) => {
                return Ok(Ok(Turn { worker: Rc::clone(&worker), key: id, number, _inside: inside }));
            }
            Claim::Taken => return Err(KeyFault::Taken.into()),
            Claim::UnderWay(ended) => {
                let left = patience.saturating_sub(worker.now().since(began));
                tokio::time::timeout(left, ended).await.map_err(|_| KeyFault::UnderWay)?;
                continue;
            }
            Claim::Done(done) => done,
        };
        let left = exchange.time_left(worker.now())?;
        tokio::time::timeout(left, outbound.read_away()).await.map_err(|_| Failure::Deadline)??;
        if done.fingerprint.differs(&Fingerprint { head, content: exchange.content_digest() }) {
            return Err(KeyFault::Taken.into());
        }
        if done.place == Place::Nowhere {
            return Err(KeyFault::NotRecorded.into());
        }
        if let Some(response) = answers.fetch(done.place).await {
            exchange.note(What::AnsweredBefore);
            return Ok(Err(Recorded { response, again: true }));
        }
        // It is damaged or was removed a moment ago.
        answers.book().forget(id);
    }
}

/// Records an answer and gives it; one that is too long is passed on as it comes.
async fn settle(
    exchange: &mut Exchange,
    turn: Turn,
    head: Hash,
    answer: Answer,
    rule: &IdempotencyConfig,
) -> Result<Reply, Failure> {
    let worker = Rc::clone(&exchange.worker);
    let now = worker.clock.wall();
    let left = exchange.time_left(worker.now())?;
    let collected = collect(&worker, answer, rule.reply_bytes_max as usize);
    let collected = tokio::time::timeout(left, collected).await.map_err(|_| Failure::Deadline)?;
    let fingerprint = Fingerprint { head, content: exchange.content_digest() };
    let label = Label { key: turn.key, until: book::until(now, rule.ttl_ms), fingerprint };
    match collected {
        Ok(response) => {
            let payload = record::encode(&label, &response);
            // The client may leave meanwhile; its answer is recorded nevertheless.
            let recorded = tokio::task::spawn_local(write(turn, label, payload, now));
            recorded.await.map_err(|_| Failure::NoReply(crate::access::Outcome::Died))?;
            Ok(Reply::Recorded(Recorded { response, again: false }))
        }
        Err(Uncollected::TooLong(answer)) => {
            let done = Done { until: label.until, fingerprint, place: Place::Nowhere };
            worker.shared.answers.book().settle(turn.key, turn.number, done);
            Ok(Reply::Endpoint(*answer))
        }
        Err(Uncollected::Broken) => Err(Failure::NoReply(crate::access::Outcome::Died)),
    }
}

async fn write(turn: Turn, label: Label, payload: Bytes, now: Wall) {
    let answers = &turn.worker.shared.answers;
    let position = match answers.journal.get() {
        Some(journal) => journal.record(payload.clone()).await,
        None => None,
    };
    let place = position.map_or(Place::Memory(payload), Place::Disk);
    let mut book = answers.book();
    book.settle(turn.key, turn.number, Done { until: label.until, fingerprint: label.fingerprint, place });
    let needed = book.tidy(now);
    drop(book);
    if let Some((journal, segment)) = answers.journal.get().zip(needed) {
        journal.remove_below(segment);
    }
}

enum Uncollected {
    /// It is longer than is recorded; nothing of it is lost.
    TooLong(Box<Answer>),
    Broken,
}

impl Uncollected {
    fn too_long(response: Response<ReplyContent>, in_flight: InFlight) -> Uncollected {
        Uncollected::TooLong(Box::new(Answer { response, in_flight }))
    }
}

/// Reads an answer to its end; its connection goes back to the pool.
async fn collect(worker: &Worker, answer: Answer, bytes_max: usize) -> Result<Response<Bytes>, Uncollected> {
    let Answer { response, in_flight } = answer;
    let (mut head, mut content) = response.into_parts();
    let mut collected = Vec::new();
    if content.size_hint().lower() > bytes_max as u64 {
        return Err(Uncollected::too_long(Response::from_parts(head, content), in_flight));
    }
    while let Some(frame) = content.frame().await {
        let Ok(data) = frame.map_err(|_| Uncollected::Broken)?.into_data() else { continue };
        collected.extend_from_slice(&data);
        if collected.len() > bytes_max {
            content.put_back(collected.into());
            return Err(Uncollected::too_long(Response::from_parts(head, content), in_flight));
        }
    }
    worker.pool.put(in_flight.way(), content, worker.now());
    let set = fields::FieldSet::of(&head.headers);
    fields::strip_hop_by_hop(&mut head.headers, set);
    if head.status == StatusCode::NO_CONTENT {
        collected.clear();
    }
    Ok(Response::from_parts(head, collected.into()))
}
