//! One connection, from accept to close.

use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use stdx::io::Io;
use tokio::io::{Interest, Ready};
use tokio::time::Instant;

use super::session::{Budget, Entry, Next, Session};
use super::shell::{Shell, Socket};
use super::stream::Stream;

/// What is read ahead of a connection that waits for a job, so that its end is noticed.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// Serves one connection.
pub(super) async fn run<D: Io>(shell: Rc<Shell<D>>, stream: Stream, entry: Entry) {
    let (id, socket) = shell.open(stream);
    shell.connections.set(shell.connections.get() + 1);
    shell.broker.borrow_mut().name_worker(id, &socket.stream.peer());
    let mut session = Session::new(id, entry);
    converse(&shell, &socket, &mut session).await;
    socket.stream.part();
    session.end(&*shell);
    shell.connections.set(shell.connections.get() - 1);
    shell.close(id);
}

async fn converse<D: Io>(shell: &Shell<D>, socket: &Socket, session: &mut Session) {
    let id = session.client;
    let mut ended = false;
    let welcome = Instant::now() + shell.tls.as_ref().map_or(Duration::ZERO, |tls| tls.timeout());
    loop {
        let next = session.advance(&mut shell.broker.borrow_mut(), shell, shell.now());
        shell.after_change();
        match next {
            Next::Turn => {
                tokio::task::yield_now().await;
                continue;
            }
            Next::Drop => return,
            Next::Quit => return send_the_rest(shell, socket, session).await,
            Next::Input if ended => return send_the_rest(shell, socket, session).await,
            Next::Job if ended => {
                shell.broker.borrow_mut().half_closed(id);
                continue;
            }
            // What stood in the way may be gone with what was just sent.
            Next::Output if shell.has_room(id) => continue,
            Next::Input | Next::Job | Next::Output | Next::Log => {}
        }
        let reads = !ended
            && match next {
                Next::Input => true,
                Next::Job => session.input.len() < AHEAD_BYTES_MAX,
                _ => false,
            };
        let blocked = socket.unsent.get() || !shell.broker.borrow().output(id).is_empty();
        socket.wants_wake.set(blocked || next == Next::Output || (next == Next::Job && session.input.len() > 0));
        let interest = interest(reads, blocked);
        let ready = tokio::select! {
            ready = readiness(&socket.stream, interest) => ready,
            () = socket.wake.notified() => Ok(Ready::EMPTY),
            () = shell.committed.notified(), if next == Next::Log => Ok(Ready::EMPTY),
            () = stalled(shell, socket), if blocked => return,
            () = tokio::time::sleep_until(welcome), if session.is_locked() => return,
        };
        socket.wants_wake.set(false);
        let Ok(ready) = ready else { return };
        if ready.is_writable() {
            shell.send(id, socket);
        }
        if socket.broken.get() {
            return;
        }
        if reads && ready.is_readable() {
            match read(shell, socket, session) {
                Ok(0) => ended = true,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

fn read<D: Io>(shell: &Shell<D>, socket: &Socket, session: &mut Session) -> io::Result<usize> {
    let mut buffer = shell.read_buffer.borrow_mut();
    let bytes = socket.stream.try_read(&mut buffer)?;
    session.input.push(&buffer[..bytes]);
    Ok(bytes)
}

/// Waits until the answers that were given are sent; the client says no more.
async fn send_the_rest<D: Io>(shell: &Shell<D>, socket: &Socket, session: &Session) {
    let id = session.client;
    loop {
        shell.flush();
        shell.send(id, socket);
        if socket.broken.get() || (shell.broker.borrow().output_len(id) == 0 && !socket.unsent.get()) {
            return;
        }
        let blocked = socket.unsent.get() || !shell.broker.borrow().output(id).is_empty();
        socket.wants_wake.set(true);
        tokio::select! {
            ready = readiness(&socket.stream, blocked.then_some(Interest::WRITABLE)) => {
                if ready.is_err() {
                    return;
                }
            }
            () = socket.wake.notified() => {}
            () = stalled(shell, socket), if blocked => return,
        }
    }
}

fn interest(reads: bool, writes: bool) -> Option<Interest> {
    match (reads, writes) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}

async fn readiness(stream: &Stream, interest: Option<Interest>) -> io::Result<Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => pending().await,
    }
}

/// Ends when the client has taken nothing for too long.
async fn stalled<D: Io>(shell: &Shell<D>, socket: &Socket) {
    let limit = Duration::from_millis(shell.broker.borrow().config().output_stall_ms);
    while let Some(since) = socket.blocked_since.get() {
        tokio::time::sleep_until(since + limit).await;
        if socket.blocked_since.get() == Some(since) {
            return;
        }
    }
    pending().await
}

impl<D: Io> Budget for Shell<D> {
    fn take(&self, bytes: usize) -> bool {
        let taken = self.receiving.get();
        let fits = taken == 0 || taken + bytes <= self.receiving_max;
        if fits {
            self.receiving.set(taken + bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.receiving.set(self.receiving.get() - bytes);
    }

    fn taken(&self) -> usize {
        self.receiving.get()
    }
}
