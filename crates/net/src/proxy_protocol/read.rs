//! The header of a connection that has just begun, and not one byte more: what follows is read by somebody else.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{Header, ProxyError, V2_BYTES_MAX, parse};

/// Why a connection has no header.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It begins with something else.
    #[error(transparent)]
    Header(#[from] ProxyError),
    /// It ended or broke before.
    #[error("the connection broke before its PROXY protocol header: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header. The caller sees to the time that it may take.
///
/// # Errors
/// When the connection does not begin with one, or ends before.
pub async fn read(stream: &mut TcpStream) -> Result<Header, ReadError> {
    let mut bytes = Vec::new();
    let mut seen = [0; V2_BYTES_MAX];
    loop {
        let more = stream.peek(&mut seen).await?;
        if more == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let had = bytes.len();
        bytes.extend_from_slice(&seen[..more]);
        let parsed = parse(&bytes)?;
        // What is a part of the header is taken; otherwise the next look would find the same bytes.
        let taken = parsed.as_ref().map_or(more, |(_, length)| length - had);
        stream.read_exact(&mut seen[..taken]).await?;
        if let Some((header, _)) = parsed {
            return Ok(header);
        }
    }
}
