//! Periodic jobs: looks each second which ticks are due, and puts their jobs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use control::error::ApiError;
use stdx::clock::{SharedClock, Wall};
use tokio::sync::{Notify, watch};

use crate::cron::{Cron, CronConfig};
use crate::handle::Handle;
use crate::names::Namespace;

/// The clock may jump, so it is looked at this often.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A line and its last tick as far as it is known here; the log knows better.
struct Line {
    cron: Cron,
    last: Wall,
}

/// All lines.
#[derive(Clone)]
pub(super) struct Crons {
    queue: Handle,
    clock: SharedClock,
    lines: Rc<RefCell<BTreeMap<(Namespace, String), Line>>>,
    /// Lines of namespaces that are not taken over yet.
    news: Rc<RefCell<BTreeMap<Namespace, BTreeMap<String, CronConfig>>>>,
    changed: Rc<Notify>,
}

impl Crons {
    pub(super) fn new(queue: Handle, clock: SharedClock) -> Crons {
        Crons { queue, clock, lines: Rc::default(), news: Rc::default(), changed: Rc::default() }
    }

    /// From now on these are the lines of the namespace.
    pub(super) fn employ(&self, namespace: &Namespace, crons: BTreeMap<String, CronConfig>) {
        // Even none at all is news: what fired before is to be forgotten.
        self.news.borrow_mut().insert(namespace.clone(), crons);
        self.changed.notify_one();
    }

    /// Fires what is due until `stop` turns true.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let idle = self.look().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "periodic jobs wait for the queue");
                LOOK_MAX
            });
            tokio::select! {
                () = tokio::time::sleep(idle) => {}
                () = self.changed.notified() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Takes over what is new and fires what is due; says how long there is nothing to do.
    async fn look(&self) -> Result<Duration, ApiError> {
        while let Some((namespace, crons)) = { self.news.borrow_mut().pop_first() } {
            if let Err(error) = self.take_over(&namespace, crons.clone()).await {
                self.news.borrow_mut().entry(namespace).or_insert(crons);
                return Err(error);
            }
        }
        let now = self.clock.wall();
        let due: Vec<_> =
            self.lines.borrow().iter().map(|(key, line)| (key.clone(), line.cron.due(line.last, now))).collect();
        for ((namespace, name), ticks) in due {
            for tick in ticks {
                self.fire(&namespace, &name, tick).await;
            }
        }
        let mut idle = LOOK_MAX;
        for line in self.lines.borrow_mut().values_mut() {
            line.last = line.cron.passed(line.last, now);
            idle = idle.min(line.cron.idle_for(line.last, now).unwrap_or(LOOK_MAX).max(Duration::from_millis(1)));
        }
        let any = !self.lines.borrow().is_empty();
        Ok(if any { idle } else { Duration::from_secs(3_600) })
    }

    async fn take_over(&self, namespace: &Namespace, configs: BTreeMap<String, CronConfig>) -> Result<(), ApiError> {
        let mut crons = BTreeMap::new();
        for (name, config) in configs {
            match Cron::new(&format!("{namespace}/{name}"), config) {
                Ok(cron) => drop(crons.insert(name, cron)),
                Err(error) => tracing::error!(%namespace, name, %error, "a periodic job cannot be"),
            }
        }
        let ticks = self.queue.ticks(namespace, crons.keys().cloned().collect()).await?;
        let mut lines = self.lines.borrow_mut();
        lines.retain(|(other, _), _| other != namespace);
        for ((name, cron), last_ms) in crons.into_iter().zip(ticks) {
            lines.insert((namespace.clone(), name), Line { cron, last: Wall::from_millis(last_ms) });
        }
        Ok(())
    }

    /// One tick. When its job is refused, it is tried again with the next look.
    async fn fire(&self, namespace: &Namespace, name: &str, tick: Wall) {
        let key = (namespace.clone(), name.to_owned());
        let Some((tube, job)) = self.lines.borrow().get(&key).map(|line| (line.cron.tube.clone(), line.cron.job()))
        else {
            return;
        };
        match self.queue.fire(namespace, name.to_owned(), tick.millis(), tube, job).await {
            Ok(fired) => {
                tracing::debug!(%namespace, name, fired, "a periodic job");
                if let Some(line) = self.lines.borrow_mut().get_mut(&key) {
                    line.last = line.last.max(tick);
                }
            }
            Err(error) => tracing::warn!(%namespace, name, %error, "a periodic job was not taken and is tried again"),
        }
    }
}
