//! The runners of pushed tubes: started, replaced and stopped as manifests say.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::wire::QueueRow;
use stdx::clock::SharedClock;
use stdx::ids::Scope;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::handle::Handle;
use crate::names::{Namespace, TubeName};
use crate::push::{PushSpec, Runner, Told};

/// After a runner panicked.
const PAUSE: Duration = Duration::from_secs(1);

type Key = (Namespace, String);

/// What runners tell of themselves, for listings.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<Key, Notice>>);

/// A target's URL, and what its runner tells.
type Notice = (String, Arc<Mutex<Told>>);

impl Board {
    /// Adds to each row how its tube is pushed.
    pub(crate) fn fill_in(&self, rows: &mut [QueueRow]) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        for row in rows {
            let scope = row.app.clone().zip(row.environment.clone()).map(|(app, env)| Scope { app, env });
            if let Some((url, told)) = all.get(&(Namespace(scope), row.tube.clone())) {
                row.push = Some(told.lock().unwrap_or_else(PoisonError::into_inner).row(url));
            }
        }
    }

    fn put_up(&self, key: Key, url: String) -> Arc<Mutex<Told>> {
        let told = Arc::new(Mutex::new(Told { state: "waits for jobs".into(), ..Told::default() }));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (url, Arc::clone(&told)));
        told
    }

    fn take_down(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

struct Running {
    spec: PushSpec,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// All runners.
pub(super) struct Pushes {
    queue: Handle,
    clock: SharedClock,
    board: Arc<Board>,
    running: BTreeMap<Key, Running>,
    /// Stopped, with posts under way.
    leaving: Vec<JoinHandle<()>>,
}

impl Pushes {
    pub(super) fn new(queue: Handle, clock: SharedClock, board: Arc<Board>) -> Pushes {
        Pushes { queue, clock, board, running: BTreeMap::new(), leaving: Vec::new() }
    }

    /// From now on these tubes of the namespace are pushed, and no others.
    pub(super) fn employ(&mut self, namespace: &Namespace, mut pushes: BTreeMap<String, PushSpec>) {
        let of_it = self.running.keys().filter(|(other, _)| other == namespace).cloned();
        for key in of_it.collect::<Vec<_>>() {
            let stays = pushes.get(&key.1).is_some_and(|spec| *spec == self.running[&key].spec);
            if stays {
                pushes.remove(&key.1);
            } else if let Some(runner) = self.running.remove(&key) {
                runner.stop.send_replace(true);
                self.leaving.push(runner.task);
                self.board.take_down(&key);
            }
        }
        self.leaving.retain(|task| !task.is_finished());
        for (tube, spec) in pushes {
            let Some(name) = TubeName::new(tube.as_bytes()) else { continue };
            let key = (namespace.clone(), tube);
            let told = self.board.put_up(key.clone(), spec.url.clone());
            let (stop, stopped) = watch::channel(false);
            let start = {
                let (queue, clock, spec, namespace) =
                    (self.queue.clone(), self.clock.clone(), spec.clone(), namespace.clone());
                move || {
                    Runner::new(queue.clone(), namespace.clone(), name.clone(), &spec, clock.clone(), Arc::clone(&told))
                }
            };
            let task = tokio::task::spawn_local(supervise(start, stopped));
            self.running.insert(key, Running { spec, stop, task });
        }
    }

    /// Stops all; posts under way are waited for.
    pub(super) async fn stop(&mut self) {
        for (_, runner) in std::mem::take(&mut self.running) {
            runner.stop.send_replace(true);
            self.leaving.push(runner.task);
        }
        for task in self.leaving.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a pushed tube's runner ended badly");
            }
        }
    }
}

/// A runner that panics is started again: its jobs come back when their time runs out.
async fn supervise(start: impl Fn() -> Result<Runner, crate::push::PushError>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let runner = match start() {
            Ok(runner) => Rc::new(runner),
            Err(error) => return tracing::error!(%error, "a tube cannot be pushed"),
        };
        match tokio::task::spawn_local(runner.run(stop.clone())).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(%error, "a pushed tube's runner failed and is started again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
