//! Answers that nobody waits for any more: they are read to their end where that costs less than a new connection.

use std::rc::Rc;
use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt;
use tokio::task::spawn_local;

use crate::access::Outcome;
use crate::forward::Answer;
use crate::worker::Worker;

/// Content that is read for nothing but the connection behind it.
const CONTENT_BYTES_MAX: u64 = 64 << 10;
/// Time for it, when its head is there.
const CONTENT_TIME: Duration = Duration::from_secs(1);

/// One of a worker's places for what goes on without its request.
#[derive(Debug)]
pub(crate) struct Seat(Rc<Worker>);

impl Seat {
    /// A place, `None` when all are taken.
    pub(crate) fn take(worker: &Rc<Worker>) -> Option<Seat> {
        let taken = worker.overtaken.get();
        let free = taken < worker.shared.live.borrow().overtaken_max;
        free.then(|| {
            worker.overtaken.set(taken + 1);
            Seat(Rc::clone(worker))
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.overtaken.set(self.0.overtaken.get() - 1);
    }
}

/// Lets a try come to its end within `limit`, for what is learned from it and for its connection.
pub(crate) fn finish(
    worker: Rc<Worker>,
    seat: Seat,
    run: impl Future<Output = Result<Answer, Outcome>> + 'static,
    limit: Duration,
) {
    spawn_local(async move {
        let _seat = seat;
        if let Ok(Ok(answer)) = tokio::time::timeout(limit, run).await {
            read_away(&worker, answer).await;
        }
    });
}

/// Reads away an answer that is not passed on.
pub(crate) fn discard(worker: &Rc<Worker>, answer: Answer) {
    if let Some(seat) = Seat::take(worker) {
        finish(Rc::clone(worker), seat, std::future::ready(Ok(answer)), CONTENT_TIME);
    }
}

async fn read_away(worker: &Worker, answer: Answer) {
    let Answer { response, in_flight } = answer;
    let mut content = response.into_body();
    if content.size_hint().lower() > CONTENT_BYTES_MAX {
        return;
    }
    let reading = async {
        let mut left = CONTENT_BYTES_MAX;
        while let Some(frame) = content.frame().await {
            let bytes = frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
            left = left.checked_sub(bytes)?;
        }
        Some(())
    };
    if matches!(tokio::time::timeout(CONTENT_TIME, reading).await, Ok(Some(()))) {
        worker.pool.put(in_flight.way(), content, worker.now());
    }
}
