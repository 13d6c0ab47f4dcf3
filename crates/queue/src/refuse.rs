//! What is left of the plane after a panic: every client is told, in the protocol's words, and its connection closed.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::handle::Request;
use crate::proto::reply::Reply;
use crate::serve::stream::{Accepted, Listener};

/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses until somebody stops the plane.
pub(crate) async fn serve(
    listeners: Vec<Listener>,
    mut requests: mpsc::Receiver<Request>,
) -> Option<oneshot::Sender<()>> {
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(refuse(listener));
    }
    loop {
        match requests.recv().await {
            Some(Request::Stop(done)) => return Some(done),
            // Those who ask see that their question was dropped.
            Some(_) => {}
            None => return None,
        }
    }
}

async fn refuse(listener: Listener) {
    let listener = match listener.watch() {
        Ok(listener) => listener,
        Err(cause) => return tracing::error!(%cause, "the failed queue cannot refuse"),
    };
    let mut words = Vec::new();
    Reply::InternalError.write(&mut words);
    loop {
        let told = match listener.accept().await {
            // A new connection's buffer has room for one line.
            Ok(Accepted::Ready(stream)) => stream.try_write(&words).map(drop),
            // Without a handshake there are no words; its end is one.
            Ok(Accepted::Tls(..)) => Ok(()),
            Err(cause) => {
                tokio::time::sleep(PAUSE).await;
                Err(cause)
            }
        };
        if let Err(cause) = told {
            tracing::debug!(%cause, "a client was not told that the queue has failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn after_a_panic_clients_are_told_until_the_plane_is_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (requests, taken) = mpsc::channel(1);
        let refusing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(vec![Listener::Tcp(listener)], taken)).is_some()
        });
        for _ in 0..2 {
            let mut said = String::new();
            TcpStream::connect(addr).unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "INTERNAL_ERROR\r\n");
        }
        let (done, _stopped) = oneshot::channel();
        requests.blocking_send(Request::Stop(done)).unwrap();
        assert!(refusing.join().unwrap(), "it ends when it is told to");
    }
}
