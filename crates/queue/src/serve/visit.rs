//! A client without a socket: how somebody within the process asks the broker and hears its answer.

use std::rc::Rc;

use control::error::ApiError;
use stdx::io::Io;
use tokio::sync::Notify;

use super::shell::Shell;
use crate::broker::{Broker, Flow, Terms};
use crate::door::{self, Lease};
use crate::engine::{ClientId, Now};
use crate::names::{JobId, Namespace};
use crate::proto::answer::Answer;
use crate::proto::command::Command;

/// A connection that ends when it is dropped; what it holds is ready again then.
pub(super) struct Visit<D: Io> {
    shell: Rc<Shell<D>>,
    id: ClientId,
    wake: Rc<Notify>,
}

impl<D: Io> Visit<D> {
    pub(super) fn enter(shell: &Rc<Shell<D>>, namespace: &Namespace) -> Visit<D> {
        let (id, wake) = shell.let_in(namespace);
        Visit { shell: Rc::clone(shell), id, wake }
    }

    /// Does something with the broker on behalf of this client.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Broker<D>, ClientId, Now) -> T) -> T {
        let done = act(&mut self.shell.broker.borrow_mut(), self.id, self.shell.now());
        self.shell.after_change();
        done
    }

    /// Carries out one command and waits for its answer.
    pub(super) async fn ask(&self, command: Command<'_>) -> Result<Answer, ApiError> {
        self.with(|broker, id, now| match broker.execute(id, &command, now) {
            Flow::Go | Flow::Close => {}
        });
        self.answer().await
    }

    /// Waits for the next answer.
    pub(super) async fn answer(&self) -> Result<Answer, ApiError> {
        loop {
            let read = Answer::read(self.shell.broker.borrow().output(self.id));
            if let Some((answer, bytes)) = read {
                self.shell.broker.borrow_mut().sent(self.id, bytes);
                return match answer {
                    Answer::Word(word) if word == "INTERNAL_ERROR" => Err(door::unavailable()),
                    answer => Ok(answer),
                };
            }
            self.wake.notified().await;
        }
    }
}

impl<D: Io> Shell<D> {
    /// Jobs that the visit reserved are held for its caller after it has ended.
    pub(super) fn keep(&self, namespace: &Namespace, visit: &Visit<D>, jobs: impl IntoIterator<Item = JobId>) {
        let keeper = self.keeper(namespace);
        for id in jobs {
            let kept = self.broker.borrow_mut().pass_on(id, visit.id, keeper);
            tracing::trace!(job = id.0, kept, "a reserved job outlives its request");
        }
    }

    /// A job that is kept comes back to its caller, if it shows the right lease.
    pub(super) fn take_back(&self, namespace: &Namespace, visit: &Visit<D>, lease: Lease) -> Option<Terms> {
        let keeper = self.keeper(namespace);
        let mut broker = self.broker.borrow_mut();
        let terms = broker.held_under(keeper, lease.id, lease.number)?;
        broker.pass_on(lease.id, keeper, visit.id).then_some(terms)
    }

    /// Jobs that are kept for a caller who has gone are ready again.
    pub(super) fn give_back(self: &Rc<Self>, namespace: &Namespace, leases: &[Lease]) {
        let visit = Visit::enter(self, namespace);
        for lease in leases {
            let back = self.take_back(namespace, &visit, *lease).is_some();
            tracing::debug!(job = lease.id.0, back, "a job was reserved for somebody who has gone");
        }
    }
}

impl<D: Io> Drop for Visit<D> {
    fn drop(&mut self) {
        // After a panic the broker is not to be trusted, and the plane ends anyway.
        if !std::thread::panicking() {
            self.shell.close(self.id);
        }
    }
}
