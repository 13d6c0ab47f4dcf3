//! Deadlines that nearly nobody reaches. The worker's sweep knows of them and wakes the few that come near; only those take
//! a timer of the runtime, which costs several times as much.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};

use slab::Slab;
use stdx::clock::Mono;

use crate::sweep::Sweep;
use crate::worker::Worker;

/// It was not ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// Those who wait.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Slab<Alarm>);

#[derive(Debug)]
struct Alarm {
    deadline: Mono,
    waker: Waker,
}

impl Alarms {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wakes those whose time ends by `horizon`.
    pub(crate) fn ring(&self, horizon: Mono) {
        for (_, alarm) in self.0.iter().filter(|(_, alarm)| alarm.deadline <= horizon) {
            alarm.waker.wake_by_ref();
        }
    }

    fn set(&mut self, key: Option<usize>, deadline: Mono, waker: &Waker) -> usize {
        match key.and_then(|key| Some((key, self.0.get_mut(key)?))) {
            Some((key, alarm)) => {
                alarm.waker.clone_from(waker);
                key
            }
            None => self.0.insert(Alarm { deadline, waker: waker.clone() }),
        }
    }
}

/// One entry among them, for as long as it is held.
struct Entry<'a> {
    sweep: &'a Sweep,
    key: Option<usize>,
}

impl Entry<'_> {
    fn set(&mut self, deadline: Mono, waker: &Waker) {
        let mut alarms = self.sweep.alarms.borrow_mut();
        if alarms.is_empty() {
            self.sweep.wake();
        }
        self.key = Some(alarms.set(self.key, deadline, waker));
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.sweep.alarms.borrow_mut().0.remove(key);
        }
    }
}

/// What `future` comes to, if it does so by `deadline`.
///
/// # Errors
/// When it does not.
pub(crate) async fn within<F: Future>(worker: &Worker, deadline: Mono, future: F) -> Result<F::Output, Late> {
    let mut future = pin!(future);
    let mut entry = Entry { sweep: &worker.sweep, key: None };
    let ready = poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if deadline <= worker.now() + worker.sweep.horizon() {
            return Poll::Ready(None);
        }
        entry.set(deadline, cx.waker());
        Poll::Pending
    });
    match ready.await {
        Some(output) => Ok(output),
        None => {
            drop(entry);
            tokio::time::timeout(deadline.since(worker.now()), future).await.map_err(|_| Late)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    #[derive(Debug, Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Bell>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn only_those_whose_time_comes_near_are_woken() {
        let bells = [const { Bell(AtomicU32::new(0)) }; 3].map(Arc::new);
        let mut alarms = Alarms::default();
        let keys: Vec<usize> = bells
            .iter()
            .zip([10, 20, 30])
            .map(|(bell, at)| alarms.set(None, Mono(at), &Waker::from(Arc::clone(bell))))
            .collect();
        let rung = || bells.iter().map(|bell| bell.0.load(Relaxed)).collect::<Vec<_>>();
        alarms.ring(Mono(9));
        assert_eq!(rung(), [0, 0, 0]);
        alarms.ring(Mono(20));
        assert_eq!(rung(), [1, 1, 0]);
        // Another task waits now.
        assert_eq!(alarms.set(Some(keys[0]), Mono(10), &Waker::from(Arc::clone(&bells[2]))), keys[0]);
        alarms.0.remove(keys[1]);
        alarms.ring(Mono(20));
        assert_eq!(rung(), [1, 1, 1]);
    }
}
