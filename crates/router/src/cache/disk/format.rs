//! One kept answer as a file: mark, lengths and sums; key and head; content.
//!
//! ```text
//! 0   8  mark, with the version of the form
//! 8   4  bytes of key and head
//! 12  8  bytes of the content
//! 20  4  CRC32C of the content
//! 24  8  when it was written, in milliseconds since 1970
//! 32  4  CRC32C of all above, and of key and head
//! 36     4 bytes of length and the key; the head as `http-cache` packs it; the content, up to the end of the file
//! ```
//!
//! Numbers are little-endian. What is not exactly this is no kept answer.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use http_cache::{Key, Stored, UnixMs};
use stdx::io::{Io, OpenMode};

use super::index::Name;

const MARK: [u8; 8] = *b"FBCACHE\x01";
const FIXED_BYTES: usize = 36;
/// Bytes of key and head; requests and answers have far tighter bounds.
const HEAD_BYTES_MAX: usize = 4 << 20;
/// The content in memory goes on in pieces of this length.
const PIECE_BYTES: usize = 64 << 10;

/// What a file says before its content.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) key: Key,
    pub(super) stored: Stored,
    pub(super) written: UnixMs,
    /// Of the whole file.
    pub(super) file_bytes: u64,
    content: (u64, u32),
}

/// A whole kept answer.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) stored: Stored,
    pub(super) written: UnixMs,
    pub(super) chunks: Vec<Bytes>,
    pub(super) body_bytes: u64,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Unread {
    /// The file is gone, damaged, of another version, or of something else.
    Foreign,
    Io(io::Error),
}

/// The name of a resource's variant.
pub(super) fn name_of(key: &str, stored: &Stored) -> Name {
    let mut variant = Vec::new();
    stored.pack_variant(&mut variant);
    let mut context = Context::new(&SHA256);
    context.update(&(key.len() as u64).to_le_bytes());
    context.update(key.as_bytes());
    context.update(&variant);
    let mut name = [0; 16];
    name.copy_from_slice(&context.finish().as_ref()[..16]);
    Name(u128::from_be_bytes(name))
}

/// Key and head, as they stand behind the fixed part.
pub(super) fn head_of(key: &str, stored: &Stored) -> Vec<u8> {
    let mut head = Vec::with_capacity(256 + key.len());
    head.extend((key.len() as u32).to_le_bytes());
    head.extend(key.as_bytes());
    stored.pack(&mut head);
    head
}

/// How long the file is.
pub(super) fn file_bytes(head: &[u8], body_bytes: u64) -> u64 {
    body_bytes.saturating_add((FIXED_BYTES + head.len()) as u64)
}

/// What stands before the content.
pub(super) fn front(head: &[u8], chunks: &[Bytes], written: UnixMs) -> Vec<u8> {
    let (mut bytes, mut sum) = (0, 0);
    for chunk in chunks {
        bytes += chunk.len() as u64;
        sum = crc32c_append(sum, chunk);
    }
    let mut front = Vec::with_capacity(FIXED_BYTES + head.len());
    front.extend(MARK);
    front.extend((head.len() as u32).to_le_bytes());
    front.extend(u64::to_le_bytes(bytes));
    front.extend(sum.to_le_bytes());
    front.extend(written.0.to_le_bytes());
    let sum = crc32c_append(crc32c(&front), head);
    front.extend(sum.to_le_bytes());
    front.extend(head);
    front
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => Unread::Foreign,
            _ => Unread::Io(error),
        }
    }
}

/// Reads what a file says before its content, which is not looked at.
pub(super) fn read_head<I: Io>(io: &I, path: &Path) -> Result<Head, Unread> {
    head(io, &io.open(path, OpenMode::Read)?)
}

/// Reads a whole file of the resource `key`, its content of at most `body_bytes_max` bytes.
pub(super) fn read<I: Io>(io: &I, path: &Path, key: &str, body_bytes_max: u64) -> Result<Loaded, Unread> {
    let file = io.open(path, OpenMode::Read)?;
    let Head { key: found, stored, written, file_bytes, content: (body_bytes, sum) } = head(io, &file)?;
    if *found != *key || body_bytes > body_bytes_max {
        return Err(Unread::Foreign);
    }
    let mut body = vec![0; body_bytes as usize];
    io.read_exact_at(&file, &mut body, file_bytes - body_bytes)?;
    if crc32c(&body) != sum {
        return Err(Unread::Foreign);
    }
    let body = Bytes::from(body);
    let pieces = (0..body.len()).step_by(PIECE_BYTES);
    let chunks = pieces.map(|at| body.slice(at..body.len().min(at + PIECE_BYTES))).collect();
    Ok(Loaded { stored, written, chunks, body_bytes })
}

fn head<I: Io>(io: &I, file: &I::File) -> Result<Head, Unread> {
    let file_bytes = io.len(file)?;
    let mut fixed = [0; FIXED_BYTES];
    io.read_exact_at(file, &mut fixed, 0)?;
    let (head_bytes, body_bytes) = lengths(&fixed).ok_or(Unread::Foreign)?;
    if file_bytes.checked_sub((FIXED_BYTES + head_bytes) as u64) != Some(body_bytes) {
        return Err(Unread::Foreign);
    }
    let mut head = vec![0; head_bytes];
    io.read_exact_at(file, &mut head, FIXED_BYTES as u64)?;
    decode(&fixed, &head, file_bytes).ok_or(Unread::Foreign)
}

/// How long head and content are, where the mark is ours.
fn lengths(fixed: &[u8; FIXED_BYTES]) -> Option<(usize, u64)> {
    let head = u32::from_le_bytes(fixed[8..12].try_into().ok()?) as usize;
    let body = u64::from_le_bytes(fixed[12..20].try_into().ok()?);
    (fixed[..8] == MARK && head <= HEAD_BYTES_MAX).then_some((head, body))
}

fn decode(fixed: &[u8; FIXED_BYTES], head: &[u8], file_bytes: u64) -> Option<Head> {
    let (summed, sum) = fixed.split_at(FIXED_BYTES - 4);
    if crc32c_append(crc32c(summed), head) != u32::from_le_bytes(sum.try_into().ok()?) {
        return None;
    }
    let (_, body_bytes) = lengths(fixed)?;
    let body_sum = u32::from_le_bytes(fixed[20..24].try_into().ok()?);
    let written = UnixMs(u64::from_le_bytes(fixed[24..32].try_into().ok()?));
    let (key_bytes, rest) = head.split_first_chunk()?;
    let (key, stored) = rest.split_at_checked(u32::from_le_bytes(*key_bytes) as usize)?;
    let key: Key = Arc::from(std::str::from_utf8(key).ok()?);
    let stored = Stored::unpack(stored).filter(|stored| stored.body_bytes() == body_bytes)?;
    Some(Head { key, stored, written, file_bytes, content: (body_bytes, body_sum) })
}
