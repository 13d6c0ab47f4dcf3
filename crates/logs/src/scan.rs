//! Finding records: the segments that may hold some, then those in memory.

use std::ops::ControlFlow;

use stdx::clock::Wall;
use wal::{Found, ReadError};

use crate::format::{KIND_RECORD, View, time_of};
use crate::index::{Block, SegmentTimes};
use crate::live::{Entry, Snapshot};
use crate::query::Query;
use crate::shared::Segments;
use crate::sorted::{Out, Pick, PickBody, Waiting};

/// Records between two looks at whether somebody still wants the answer.
const RECORDS_PER_LOOK: u64 = 4096;

/// One pass over a snapshot for a query.
pub(crate) struct Scan<'a> {
    pub(crate) disk: &'a dyn Segments,
    pub(crate) query: &'a Query,
    /// Only records with a higher number.
    pub(crate) after: u64,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) is_wanted: &'a dyn Fn() -> bool,
}

/// From here on, nothing that follows is before `floor`.
struct Floor {
    after: u64,
    floor: Wall,
}

impl Scan<'_> {
    /// All matches in the order of (time, number), as they are found.
    pub(crate) fn oldest_first(&self, out: &mut Out<'_>) -> Result<(), ReadError> {
        let floors = self.floors();
        let mut floors = floors.iter().peekable();
        let mut waiting = Waiting::default();
        for segment in self.segments() {
            let end = self.each(segment, &mut |found, is_match| {
                while let Some(floor) = floors.next_if(|floor| floor.after < found.lsn.0) {
                    waiting.flow(floor.floor, out)?;
                }
                if let Some(time) = is_match {
                    waiting.push_on_disk(time, found.lsn.0, found.payload, found.position);
                }
                ControlFlow::Continue(())
            })?;
            if end.is_break() {
                return Ok(());
            }
        }
        self.recent().for_each(|entry| waiting.push(held(entry)));
        // A break means that nobody wants more, which is an end like another.
        match waiting.flow(Wall(u64::MAX), out) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(()),
        }
    }

    /// The last `n` matches in the order of (time, number); newest segments first, and no more of them than needed.
    pub(crate) fn last(&self, n: usize, out: &mut Out<'_>) -> Result<(), ReadError> {
        if n == 0 {
            return Ok(());
        }
        let mut waiting = Waiting::default();
        self.recent().for_each(|entry| waiting.push(held(entry)));
        waiting.keep_last(n);
        let segments: Vec<&SegmentTimes> = self.segments().collect();
        for segment in segments.into_iter().rev() {
            let newest = segment.blocks.iter().map(|block| block.max).max();
            if waiting.len() == n && waiting.first() > newest {
                continue;
            }
            let end = self.each(segment, &mut |found, is_match| {
                if let Some(time) = is_match {
                    waiting.push_on_disk(time, found.lsn.0, found.payload, found.position);
                    waiting.keep_last(n);
                }
                ControlFlow::Continue(())
            })?;
            if end.is_break() {
                return Ok(());
            }
        }
        match waiting.flow(Wall(u64::MAX), out) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(()),
        }
    }

    /// Visits the records of a segment that are part of the snapshot, saying the time of each that matches. Breaks when
    /// the visitor does or nobody wants the answer any more.
    fn each(
        &self,
        segment: &SegmentTimes,
        visit: &mut dyn FnMut(Found<'_>, Option<Wall>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut end = ControlFlow::Continue(());
        let result = self.disk.scan(segment.number, &mut |found| {
            if found.lsn.0 > self.snapshot.on_disk {
                return ControlFlow::Break(());
            }
            if found.lsn.0 <= self.after {
                return ControlFlow::Continue(());
            }
            end = if found.lsn.0.is_multiple_of(RECORDS_PER_LOOK) && !(self.is_wanted)() {
                ControlFlow::Break(())
            } else {
                visit(found, self.matches(found.kind, found.payload))
            };
            end
        });
        match result {
            // Retention was faster.
            Err(ReadError::NoSegment { .. }) => Ok(ControlFlow::Continue(())),
            Err(e) => Err(e),
            Ok(()) => Ok(end),
        }
    }

    fn matches(&self, kind: u8, payload: &[u8]) -> Option<Wall> {
        let time = time_of(payload).filter(|time| kind == KIND_RECORD && self.query.covers(*time))?;
        let view = View::decode(payload).ok()?;
        self.query.filter.admits(&view).then_some(time)
    }

    fn segments(&self) -> impl Iterator<Item = &SegmentTimes> {
        self.snapshot.segments.iter().filter(|segment| segment.blocks.iter().any(|block| self.is_meant(block)))
    }

    fn recent(&self) -> impl Iterator<Item = &Entry> {
        self.snapshot.recent.iter().filter(|entry| self.matches(KIND_RECORD, &entry.payload).is_some())
    }

    /// Whether a block may hold records of the query's time.
    fn is_meant(&self, block: &Block) -> bool {
        let Query { since, until, .. } = self.query;
        since.is_none_or(|since| block.max >= since) && until.is_none_or(|until| block.min < until)
    }

    fn floors(&self) -> Vec<Floor> {
        let recent = self.snapshot.recent.iter().map(|entry| entry.time).filter(|time| self.query.covers(*time));
        let mut floor = recent.min().unwrap_or(Wall(u64::MAX));
        let mut floors = Vec::new();
        for block in self.snapshot.segments.iter().flat_map(|segment| segment.blocks.iter()).rev() {
            floors.push(Floor { after: block.last, floor });
            if self.is_meant(block) {
                floor = floor.min(block.min);
            }
        }
        floors.reverse();
        floors
    }
}

fn held(entry: &Entry) -> Pick {
    Pick { time: entry.time, seq: entry.seq, body: PickBody::Held(entry.payload.clone()) }
}
