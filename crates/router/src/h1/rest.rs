//! What is still to come of a message's content, whichever side sends it. Pure.

use bytes::BytesMut;

use super::chunks::{Broken, Chunks, Piece};

/// What is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Length(u64),
    Chunks(Chunks),
    UntilClose,
    Nothing,
}

impl Rest {
    /// Takes the next piece from the front of `buffer`.
    ///
    /// # Errors
    /// When the bytes are not what the head promised.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, Broken> {
        match self {
            Rest::Nothing | Rest::Length(0) => Ok(Piece::End),
            Rest::Length(_) | Rest::UntilClose if buffer.is_empty() => Ok(Piece::More),
            Rest::UntilClose => Ok(Piece::Data(buffer.split().freeze())),
            Rest::Length(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= now as u64;
                Ok(Piece::Data(buffer.split_to(now).freeze()))
            }
            Rest::Chunks(chunks) => {
                let piece = chunks.next(buffer)?;
                let ends = match &piece {
                    Piece::Data(_) => chunks.take_end(buffer),
                    Piece::Trailers(_) | Piece::End => true,
                    Piece::More => false,
                };
                if ends {
                    *self = Rest::Nothing;
                }
                Ok(piece)
            }
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Rest::Nothing | Rest::Length(0))
    }

    /// How many bytes of it are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Rest::Nothing => Some(0),
            Rest::Length(left) => Some(*left),
            Rest::Chunks(_) | Rest::UntilClose => None,
        }
    }

    /// The connection has ended; whether the content ends well with it.
    pub(super) fn closes(&mut self) -> bool {
        if *self == Rest::UntilClose {
            *self = Rest::Nothing;
        }
        self.is_ended()
    }
}
