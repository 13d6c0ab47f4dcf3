//! What keeps the plane from starting.

use std::io;
use std::path::PathBuf;

use net::listen::{ListenAddr, ListenError};
use net::tls::TlsError;
use stdx::format::FormatError;
use stdx::lock::LockError;

use crate::broker::BrokerError;

/// Why the plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without encryption and a password it is for this machine only.
    #[error("the queue does not listen on {0} without TLS: it can be reached from other machines")]
    Exposed(ListenAddr),
    /// With encryption, but nobody could say who he is.
    #[error("the queue does not listen on {0}: it can be reached from other machines, and nobody has a token")]
    Open(ListenAddr),
    /// An address with TLS cannot be listened on.
    #[error(transparent)]
    ListenTls(ListenError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The unix socket cannot be listened on.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is of another format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The log cannot be read.
    #[error("the queue's log cannot be opened: {0}")]
    Log(String),
    /// The system gives no thread.
    #[error("cannot start the queue's thread: {0}")]
    Thread(#[source] io::Error),
}

impl StartError {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            StartError::Exposed(_) => "queue_exposed",
            StartError::Open(_) => "queue_open",
            StartError::Listen(e) | StartError::ListenTls(e) => e.code(),
            StartError::Tls(e) => e.code(),
            StartError::Socket { .. } => "socket_unusable",
            StartError::Lock(LockError::Held { .. }) => "folder_in_use",
            StartError::Lock(LockError::Io { .. }) => "folder_unusable",
            StartError::Format(e) => e.code(),
            StartError::Log(_) => "queue_log_unreadable",
            StartError::Thread(_) => "no_thread",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StartError::Exposed(_) => {
                "set queue.listen and queue.http_listen to loopback addresses such as 127.0.0.1:11300; other machines are for \
                 queue.tls.listen"
            }
            StartError::Open(_) => "name a file of tokens with --tokens; in a node every application has one",
            StartError::Tls(_) => "see to the file, or leave queue.tls.listen away",
            StartError::Listen(_) | StartError::ListenTls(_) => {
                "another process may hold the port; stop it, or set queue.listen"
            }
            StartError::Socket { .. } => "another process may serve it; stop it, or name another path",
            StartError::Lock(_) => "stop the other process, or name another folder with --data",
            StartError::Format(e) => e.hint(),
            StartError::Log(_) => "look at the disk; nothing in the folder was changed",
            StartError::Thread(_) => "raise the limit of processes or free memory",
        }
    }
}

impl From<BrokerError> for StartError {
    fn from(e: BrokerError) -> StartError {
        StartError::Log(e.to_string())
    }
}
