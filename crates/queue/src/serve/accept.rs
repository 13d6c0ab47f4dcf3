//! New connections.

use std::rc::Rc;

use stdx::io::Io;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::connection;
use super::session::Entry;
use super::shell::Shell;
use super::stream::{Accepted, Listener, Stream};
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

fn take<D: Io>(shell: &Rc<Shell<D>>, accepted: Accepted, connections: &mut JoinSet<()>) {
    let stream = match accepted {
        Accepted::Ready(stream) => stream,
        Accepted::Tls(stream, wants_auth) => return shake(shell, stream, wants_auth, connections),
    };
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
    connections.spawn_local(connection::run(Rc::clone(shell), stream, Entry::Open));
}

/// A client with TLS has a connection's place from the beginning of its handshake on. Beyond the limit it is closed without a
/// word: there are none yet that it would understand.
fn shake<D: Io>(shell: &Rc<Shell<D>>, stream: TcpStream, wants_auth: bool, connections: &mut JoinSet<()>) {
    let Some(tls) = shell.tls.clone() else { return };
    if shell.connections.get() >= shell.broker.borrow().config().connections_max {
        return;
    }
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%cause, "a connection was gone before it was served");
        return;
    }
    shell.connections.set(shell.connections.get() + 1);
    let shell = Rc::clone(shell);
    connections.spawn_local(async move {
        let opened = tls.open_socket(stream).await;
        shell.connections.set(shell.connections.get() - 1);
        if let Some(socket) = opened {
            let entry = if wants_auth { Entry::Locked } else { Entry::Open };
            connection::run(shell, Stream::Tls(Box::new(socket)), entry).await;
        }
    });
}
