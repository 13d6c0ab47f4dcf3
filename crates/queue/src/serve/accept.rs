//! New connections.

use std::rc::Rc;

use stdx::io::Io;
use tokio::task::JoinSet;

use super::connection;
use super::shell::Shell;
use super::stream::{Listener, Stream};
use crate::proto::reply::Reply;

/// Accepts until the shell is gone. A connection's panic is this task's.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>, listener: Listener) {
    let listener = match listener.watch() {
        Ok(listener) => listener,
        Err(cause) => panic!("the listening socket cannot be watched: {cause}"),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => take(&shell, stream, &mut connections),
                Err(cause) => net::accept::rest(&cause).await,
            },
            Some(Err(ended)) = connections.join_next() => {
                panic!("a connection's task failed: {}", super::panic_text(ended));
            }
        }
    }
}

fn take<D: Io>(shell: &Rc<Shell<D>>, stream: Stream, connections: &mut JoinSet<()>) {
    if let Err(cause) = stream.set_nodelay() {
        tracing::debug!(%cause, "a connection was gone before it was served");
        return;
    }
    if shell.connections.get() >= shell.broker.borrow().config().connections_max {
        let mut words = Vec::new();
        Reply::OutOfMemory.write(&mut words);
        if let Err(cause) = stream.try_write(&words) {
            tracing::debug!(%cause, "a connection beyond the limit was not told");
        }
        return;
    }
    connections.spawn_local(connection::run(Rc::clone(shell), stream));
}
