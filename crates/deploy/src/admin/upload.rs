//! A source on its way from a request's body to the disk.

use std::io::{self, Read};

use axum::body::{Body, Bytes};
use control::error::{ApiError, Kind};
use futures_util::StreamExt;
use stdx::ids::Scope;
use tokio::sync::mpsc;

use crate::node::Handle;
use crate::source::SourceLimits;
use crate::staging::Staged;

/// Pieces of an upload that wait for the disk.
const PIECES_MAX: usize = 16;

/// The body, unpacked beside the application's releases. Reading and writing wait for each other.
pub(super) async fn receive(handle: &Handle, scope: &Scope, body: Body) -> Result<Staged, ApiError> {
    let (pieces, incoming) = mpsc::channel(PIECES_MAX);
    let (releases, at) = (handle.node.releases.clone(), scope.clone());
    let limits = SourceLimits::from(&*handle.node.config());
    let unpacking = tokio::task::spawn_blocking(move || releases.stage(&at, Upload::new(incoming), limits));
    let feeding = async move {
        let mut stream = body.into_data_stream();
        while let Some(piece) = stream.next().await {
            // An unpacker that has refused the archive takes no more of it.
            if pieces.send(piece.map_err(io::Error::other)).await.is_err() {
                break;
            }
        }
    };
    let ((), unpacked) = tokio::join!(feeding, unpacking);
    unpacked.unwrap_or_else(|error| Err(ApiError::new(Kind::Failed, "source_not_written", error.to_string())))
}

/// A request's body, for a thread that reads.
struct Upload {
    incoming: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Upload {
    fn new(incoming: mpsc::Receiver<io::Result<Bytes>>) -> Upload {
        Upload { incoming, piece: Bytes::new() }
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.incoming.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let n = self.piece.len().min(into.len());
        into[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}
