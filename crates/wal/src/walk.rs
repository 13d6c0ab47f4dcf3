//! One segment read batch by batch: what fits the chain is delivered, what does not is told apart into damage (something
//! valid follows) and a trailing rest, and from damaged batches the records that are whole are saved.

use std::io;
use std::ops::ControlFlow;

use stdx::io::Io;

use crate::format::{BATCH_HEADER, BATCH_MAGIC, BatchHeader, FRAME_HEADER, Frame, Frames, Seed};
use crate::report::{Damage, DamageKind};
use crate::types::{Found, Lsn, LsnRange, Position};
use crate::window::Window;

/// What is delivered to, and may say that it has seen enough.
pub(crate) type Visit<'v> = dyn FnMut(Found<'_>) -> ControlFlow<()> + 'v;

/// How far a reading of the log has come. Goes from segment to segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// The LSN that must come next; `None` while no header and no batch said so.
    pub(crate) next_lsn: Option<u64>,
    /// The checksum that the next batch must carry; `None` after damage.
    pub(crate) chain: Option<u32>,
    /// The highest floor seen.
    pub(crate) floor: u64,
    /// Records delivered.
    pub(crate) records: u64,
    /// The visitor wants no more.
    pub(crate) stopped: bool,
}

/// How a walk through a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkEnd {
    /// The first byte after the last valid batch.
    pub(crate) offset: u32,
    /// Bytes after it that are not a valid batch and are followed by none.
    pub(crate) trailing: u32,
    /// Some of the trailing bytes could not be read, so nobody knows that nothing follows.
    pub(crate) unreadable: bool,
    /// Where the last valid batch starts and ends.
    pub(crate) last_batch: Option<(u32, u32)>,
}

/// One segment, open for a walk.
pub(crate) struct Walk<'a, D: Io> {
    window: Window<'a, D>,
    seed: Seed,
    number: u64,
    /// No batch that starts here or later is looked at.
    stop: u32,
}

impl<'a, D: Io> Walk<'a, D> {
    pub(crate) fn new(window: Window<'a, D>, seed: Seed, number: u64) -> Walk<'a, D> {
        Walk { window, seed, number, stop: u32::MAX }
    }

    /// Goes no further than the end of the batch in which `stop` is.
    pub(crate) fn until(self, stop: u32) -> Walk<'a, D> {
        Walk { stop, ..self }
    }

    /// Delivers all that is valid from `at` on; damage goes to `damage`.
    pub(crate) fn run(
        &mut self,
        mut at: u32,
        cursor: &mut Cursor,
        visit: &mut Visit<'_>,
        damage: &mut Vec<Damage>,
    ) -> io::Result<WalkEnd> {
        let mut last_batch = None;
        loop {
            let header = match self.batch_at(at)? {
                Some(header) if cursor.expects(&header) => header,
                _ => match self.find_batch(at, cursor.next_lsn.unwrap_or(0))? {
                    None => {
                        let trailing = self.window.end().saturating_sub(at);
                        let unreadable = trailing > 0 && self.window.is_bad_from(at);
                        return Ok(WalkEnd { offset: at, trailing, unreadable, last_batch });
                    }
                    Some((found, header)) => {
                        damage.push(self.salvage(at..found, Some(header.first_lsn), cursor, visit)?);
                        at = found;
                        header
                    }
                },
            };
            self.deliver(at, &header, cursor, visit)?;
            let end = at + BATCH_HEADER as u32 + header.body_len;
            last_batch = Some((at, end));
            at = end;
            if cursor.stopped || at >= self.stop {
                return Ok(WalkEnd { offset: at, trailing: 0, unreadable: false, last_batch });
            }
        }
    }

    /// Saves the whole records in a damaged stretch. `limit` is the LSN of the first record known to come after it;
    /// all before that which are not found are lost.
    pub(crate) fn salvage(
        &mut self,
        stretch: std::ops::Range<u32>,
        limit: Option<u64>,
        cursor: &mut Cursor,
        visit: &mut Visit<'_>,
    ) -> io::Result<Damage> {
        let mut lost = Vec::new();
        let mut at = stretch.start;
        while at < stretch.end {
            let body_at = at.saturating_add(BATCH_HEADER as u32).min(stretch.end);
            let stop = self.find_header(body_at, stretch.end)?.map_or(stretch.end, |(found, _)| found);
            let body = self.window.get(body_at, (stop - body_at) as usize)?;
            for frame in Frames::new(body, self.seed, body_at).filter(|frame| frame.whole) {
                let in_order = cursor.next_lsn.is_none_or(|next| frame.lsn >= next);
                if in_order && limit.is_none_or(|limit| frame.lsn < limit) {
                    cursor.skip_to(frame.lsn, &mut lost);
                    cursor.hand_out(self.number, &frame, visit);
                }
            }
            at = stop;
        }
        if let Some(limit) = limit {
            cursor.skip_to(limit, &mut lost);
        }
        cursor.chain = None;
        Ok(Damage { segment: self.number, what: DamageKind::Batches, from: stretch.start, to: stretch.end, lost })
    }

    /// The header of the batch at `at` if header and body are whole and the records in it are as they say.
    fn batch_at(&mut self, at: u32) -> io::Result<Option<BatchHeader>> {
        let Some(header) = BatchHeader::decode(self.window.get(at, BATCH_HEADER)?, self.seed, at) else {
            return Ok(None);
        };
        if header.body_len > self.window.end().saturating_sub(at) {
            return Ok(None);
        }
        let batch = self.window.get(at, BATCH_HEADER + header.body_len as usize)?;
        if !header.body_is_whole(batch, self.seed, at) {
            return Ok(None);
        }
        Ok(records_add_up(&header, &batch[BATCH_HEADER..]).then_some(header))
    }

    fn deliver(&mut self, at: u32, header: &BatchHeader, cursor: &mut Cursor, visit: &mut Visit<'_>) -> io::Result<()> {
        let body_at = at + BATCH_HEADER as u32;
        let body = self.window.get(body_at, header.body_len as usize)?;
        for frame in Frames::trusted(body, body_at) {
            cursor.hand_out(self.number, &frame, visit);
            if cursor.stopped {
                return Ok(());
            }
        }
        cursor.next_lsn = Some(header.first_lsn.saturating_add(u64::from(header.count)));
        cursor.chain = Some(header.crc);
        cursor.floor = cursor.floor.max(header.floor);
        Ok(())
    }

    /// The first whole batch at or after `from` whose records are not older than `lsn`.
    fn find_batch(&mut self, mut from: u32, lsn: u64) -> io::Result<Option<(u32, BatchHeader)>> {
        while let Some((at, _)) = self.find_header(from, self.window.end())? {
            match self.batch_at(at)? {
                Some(header) if header.first_lsn >= lsn => return Ok(Some((at, header))),
                _ => from = at + 1,
            }
        }
        Ok(None)
    }

    /// The first whole batch header that starts in `from..to`.
    fn find_header(&mut self, mut from: u32, to: u32) -> io::Result<Option<(u32, BatchHeader)>> {
        const STEP: usize = 64 << 10;
        let seed = self.seed;
        while from < to {
            let bytes = self.window.get(from, STEP)?;
            if bytes.len() < BATCH_HEADER {
                return Ok(None);
            }
            for (i, magic) in bytes.windows(BATCH_MAGIC.len()).enumerate() {
                let at = from + i as u32;
                if magic != BATCH_MAGIC || at >= to {
                    continue;
                }
                let header = match bytes.get(i..i + BATCH_HEADER) {
                    Some(head) => BatchHeader::decode(head, seed, at),
                    None => break,
                };
                if let Some(header) = header {
                    return Ok(Some((at, header)));
                }
            }
            from += (bytes.len() - BATCH_HEADER + 1) as u32;
        }
        Ok(None)
    }
}

impl Cursor {
    fn expects(&self, header: &BatchHeader) -> bool {
        self.next_lsn.is_none_or(|next| next == header.first_lsn)
            && self.chain.is_none_or(|chain| chain == header.chain)
    }

    /// Goes on at `lsn`; what lies between is lost.
    pub(crate) fn skip_to(&mut self, lsn: u64, lost: &mut Vec<LsnRange>) {
        if let Some(next) = self.next_lsn
            && next < lsn
        {
            lost.push(LsnRange { first: Lsn(next), last: Lsn(lsn - 1) });
        }
        self.next_lsn = Some(self.next_lsn.unwrap_or(lsn).max(lsn));
    }

    fn hand_out(&mut self, segment: u64, frame: &Frame<'_>, visit: &mut Visit<'_>) {
        if self.stopped {
            return;
        }
        let position = Position { segment, offset: frame.offset, len: frame.payload.len() as u32 };
        let found = Found { lsn: Lsn(frame.lsn), position, kind: frame.kind, payload: frame.payload };
        self.records += 1;
        self.next_lsn = Some(frame.lsn.saturating_add(1));
        self.stopped = visit(found).is_break();
    }
}

/// Whether the frames fill the body exactly and carry the LSNs that the header promises. Their own checksums need no
/// look: the batch's covers them.
fn records_add_up(header: &BatchHeader, body: &[u8]) -> bool {
    let mut rest = body;
    for i in 0..u64::from(header.count) {
        let Some((lsn, len)) = Frame::peek(rest) else { return false };
        if Some(lsn) != header.first_lsn.checked_add(i) {
            return false;
        }
        rest = &rest[FRAME_HEADER + len..];
    }
    rest.is_empty()
}
