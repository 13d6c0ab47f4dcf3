//! Seats given out in turn: whoever finds none waits in a line, and is called when one may be free.
//!
//! A door does not know what a seat is. `take` says whether there is one, and whoever gives one back says
//! [`Door::freed`]. The protocol that no call is lost by: one who waits is counted before it asks for a seat a last time,
//! and whoever frees a seat does so before it looks whether anybody is counted; both are sequentially consistent. What is
//! freed while nobody stands in the line, but somebody called has not come yet, is kept as spare for the next to join.
//! Nobody overtakes: while anybody is counted, newcomers join the line.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stdx::clock::{Mono, SharedClock};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::capacity::line::{Joined, Line, Priority, Ticket};
use crate::capacity::shed::Shed;

/// The door to some seats.
#[derive(Debug, Default)]
pub(crate) struct Door {
    /// Those who wait, called ones too until they have their seat.
    waiting: AtomicU32,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    line: Line<oneshot::Sender<Call>>,
    /// Called, and not come yet.
    called: u32,
    /// Freed while somebody was called and the line was empty.
    spare: u32,
    /// Counts what was freed while somebody waited.
    freed: u64,
}

/// How somebody wants to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) priority: Priority,
    /// When it gives up.
    pub(crate) until: Mono,
    /// How many may wait.
    pub(crate) most: usize,
}

/// Somebody's turn. One that is dropped without an answer, because its owner has left, passes on to the next.
#[derive(Debug)]
struct Call {
    door: Arc<Door>,
    answered: bool,
}

/// One who is counted as waiting.
#[derive(Debug)]
struct Waiting<'a> {
    door: &'a Arc<Door>,
    ticket: Option<Ticket>,
}

impl Door {
    /// A seat: at once when there is one and nobody waits, else in turn.
    ///
    /// # Errors
    /// Why there is none in time.
    pub(crate) async fn seat<S>(
        self: &Arc<Door>,
        wish: Wish,
        clock: &SharedClock,
        mut take: impl FnMut() -> Option<S>,
    ) -> Result<S, Shed> {
        if self.waiting.load(SeqCst) == 0
            && let Some(seat) = take()
        {
            return Ok(seat);
        }
        let mut place = self.count();
        let mut called = place.join(&wish, clock.mono())?;
        loop {
            let patience = wish.until.since(clock.mono());
            // Closed: somebody with a higher priority has the place.
            let mut call = timeout(patience, called).await.map_err(|_| Shed::Late)?.map_err(|_| Shed::Displaced)?;
            let freed = self.lock().freed;
            let seat = take();
            call.answered = true;
            match seat {
                Some(seat) => return Ok(seat),
                None => called = place.rejoin(freed),
            }
        }
    }

    /// A seat may be free.
    pub(crate) fn freed(self: &Arc<Door>) {
        if self.waiting.load(SeqCst) == 0 {
            return;
        }
        let mut inside = self.lock();
        inside.freed += 1;
        let Some(first) = inside.line.call() else {
            inside.spare += u32::from(inside.called > 0);
            return;
        };
        inside.called += 1;
        drop(inside);
        // One who has left meanwhile: the call comes back, and its end calls the next.
        drop(first.send(Call { door: Arc::clone(self), answered: false }));
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// How many wait, and would go before a newcomer of this priority.
    pub(crate) fn before(&self, priority: Priority) -> usize {
        self.lock().line.before(priority)
    }

    fn count(self: &Arc<Door>) -> Waiting<'_> {
        self.waiting.fetch_add(1, SeqCst);
        Waiting { door: self, ticket: None }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// Joins the line. Where nobody was before it, or something was left over, the first in the line is called at once.
    fn join(&mut self, wish: &Wish, now: Mono) -> Result<oneshot::Receiver<Call>, Shed> {
        let (sender, called) = oneshot::channel();
        let mut inside = self.door.lock();
        let alone = inside.line.len() == 0 && inside.called == 0;
        match inside.line.join(wish.priority, sender, wish.most, now) {
            Joined::Waits { ticket, instead_of } => {
                self.ticket = Some(ticket);
                drop(instead_of);
            }
            Joined::Full => return Err(Shed::Full),
        }
        let call = alone || inside.spare > 0;
        inside.spare = if alone { 0 } else { inside.spare.saturating_sub(1) };
        drop(inside);
        if call {
            self.door.freed();
        }
        Ok(called)
    }

    /// There was no seat: back to its place. What was freed since `freed` was read is offered again.
    fn rejoin(&mut self, freed: u64) -> oneshot::Receiver<Call> {
        let (sender, called) = oneshot::channel();
        let mut inside = self.door.lock();
        if let Some(ticket) = self.ticket {
            inside.line.rejoin(ticket, sender);
        }
        let call = inside.freed != freed;
        if call {
            inside.spare = inside.spare.saturating_sub(1);
        }
        drop(inside);
        if call {
            self.door.freed();
        }
        called
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(self.door.lock().line.leave(ticket));
        }
        self.door.waiting.fetch_sub(1, SeqCst);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.door.lock().called -= 1;
        if !self.answered {
            self.door.freed();
        }
    }
}
