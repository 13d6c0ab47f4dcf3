//! Reading a log whole: deliver what is valid, tell what is damaged, find where to go on, make the end fit for it.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use stdx::io::{Io, OpenMode};

use crate::config::Config;
use crate::error::{DiskError, OpenError};
use crate::format::{SEGMENT_DATA, Seed};
use crate::names;
use crate::report::{Damage, DamageKind, Report, Torn};
use crate::survey::{Listed, Survey};
use crate::types::{Found, Lsn, Progress, Segment};
use crate::walk::{Cursor, Walk, WalkEnd};
use crate::window::Window;
use crate::writer::Tail;

/// What the log holds, and where it goes on.
pub(crate) struct Recovery {
    pub(crate) report: Report,
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Tail,
    /// The last segment's number and how its walk ended.
    last: Option<(u64, WalkEnd)>,
}

impl Recovery {
    /// Reads the live segments that hold records behind `after`; changes nothing.
    pub(crate) fn run<D: Io>(
        io: &D,
        config: &Config,
        survey: &Survey,
        uuid: [u8; 16],
        after: Lsn,
        progress: &mut dyn FnMut(Progress),
        visit: &mut dyn FnMut(Found<'_>),
    ) -> Result<Recovery, OpenError> {
        let mut pass = Pass::new(io, config, uuid, survey.floor);
        let mut visit = |found: Found<'_>| {
            if found.lsn > after {
                visit(found);
            }
            ControlFlow::Continue(())
        };
        let known = survey.known_up_to(after);
        let mut segments = Vec::with_capacity(survey.live.len());
        let mut last = None;
        let mut told = Progress { bytes: 0, of: survey.live[known..].iter().map(|listed| u64::from(listed.len)).sum() };
        for (i, listed) in survey.live.iter().enumerate() {
            pass.enter(listed);
            if let Some(segment) =
                survey.live.get(i + 1).filter(|_| i < known).and_then(|next| pass.pass_by(listed, next))
            {
                segments.push(segment);
                continue;
            }
            let first_lsn = pass.cursor.next_lsn;
            let end = pass.segment(listed, &survey.live[i + 1..], &mut visit)?;
            let first_lsn = Lsn(first_lsn.or(pass.cursor.next_lsn).unwrap_or(1));
            segments.push(Segment { number: listed.number, first_lsn, bytes: end.offset });
            last = Some((listed.number, end));
            told.bytes += u64::from(listed.len);
            progress(told);
        }
        let torn = last.filter(|(_, end)| end.trailing > 0);
        let report = Report {
            segments: segments.len() as u64,
            records: pass.cursor.records,
            last_lsn: Lsn(pass.cursor.next_lsn.unwrap_or(1) - 1),
            torn: torn.map(|(segment, end)| Torn { segment, offset: end.offset, bytes: end.trailing }),
            damage: pass.damage,
            unlinked: survey.leftovers.len() as u64,
        };
        let tail = go_on_from(survey.floor, last, &pass.cursor, &report.damage);
        Ok(Recovery { report, segments, tail, last })
    }

    /// Makes the end durable and free of what was cut, then removes leftovers. Each step may be repeated after a crash.
    ///
    /// The folder is synced before anything is unlinked: the segment that says what is left over may have its name only
    /// in the cache.
    ///
    /// The last batch is written once more: it may stand only in the page cache, if the process before us died of a
    /// failed sync. All batches before it were synced with success, or it would not be there.
    pub(crate) fn settle<D: Io>(&self, io: &D, config: &Config, survey: &Survey) -> Result<(), DiskError> {
        if let Some((number, end)) = self.last {
            let path = names::segment(&config.folder, number);
            settle_end(io, &path, end).map_err(|e| DiskError::new("settle", &path, e))?;
        }
        let sync_folder = || io.sync_dir(&config.folder).map_err(|e| DiskError::new("sync", &config.folder, e));
        sync_folder()?;
        for path in &survey.leftovers {
            io.unlink(path).map_err(|e| DiskError::new("unlink", path, e))?;
        }
        if survey.leftovers.is_empty() { Ok(()) } else { sync_folder() }
    }
}

fn settle_end<D: Io>(io: &D, path: &Path, end: WalkEnd) -> io::Result<()> {
    let file = io.open(path, OpenMode::Write)?;
    if end.trailing > 0 {
        io.set_len(&file, u64::from(end.offset))?;
    }
    if let Some((start, end)) = end.last_batch {
        let mut batch = vec![0; (end - start) as usize];
        io.read_exact_at(&file, &mut batch, u64::from(start))?;
        io.write_all_at(&file, &batch, u64::from(start))?;
    }
    io.sync_data(&file)
}

/// One reading of the log, from the floor to the end.
struct Pass<'a, D: Io> {
    io: &'a D,
    config: &'a Config,
    uuid: [u8; 16],
    /// The number of the segment that must come next.
    expected: u64,
    cursor: Cursor,
    damage: Vec<Damage>,
}

impl<'a, D: Io> Pass<'a, D> {
    fn new(io: &'a D, config: &'a Config, uuid: [u8; 16], floor: u64) -> Pass<'a, D> {
        // Nothing was ever removed below floor 1, so the first record is known.
        let next_lsn = (floor == 1).then_some(1);
        let cursor = Cursor { floor, next_lsn, ..Cursor::default() };
        Pass { io, config, uuid, expected: floor, cursor, damage: Vec::new() }
    }

    /// Compares a segment's header with where the reading has come to.
    fn enter(&mut self, listed: &Listed) {
        let mut lost = Vec::new();
        match listed.header {
            Some(header) => {
                self.cursor.skip_to(header.first_lsn, &mut lost);
                self.cursor.chain = Some(header.chain);
            }
            None => self.cursor.chain = None,
        }
        if listed.number > self.expected {
            let what = DamageKind::Missing { last: listed.number - 1 };
            self.damage.push(Damage { segment: self.expected, what, from: 0, to: 0, lost });
        } else if !lost.is_empty() {
            let segment = self.expected - 1;
            self.damage.push(Damage { segment, what: DamageKind::Truncated, from: 0, to: 0, lost });
        }
        self.damage.extend(listed.damage.clone());
        self.expected = listed.number + 1;
    }

    /// Takes a segment as its neighbour's header describes it.
    fn pass_by(&mut self, listed: &Listed, next: &Listed) -> Option<Segment> {
        let (header, next) = (listed.header?, next.header?);
        self.cursor.next_lsn = Some(next.first_lsn);
        Some(Segment { number: listed.number, first_lsn: Lsn(header.first_lsn), bytes: next.previous_end })
    }

    /// Delivers one segment. What trails it is the torn end of the log in the last segment, if all of it can be read, and
    /// damage otherwise.
    fn segment(
        &mut self,
        listed: &Listed,
        later: &[Listed],
        visit: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<WalkEnd, DiskError> {
        let path = names::segment(&self.config.folder, listed.number);
        let failed = |e| DiskError::new("read", &path, e);
        let file = self.io.open(&path, OpenMode::Read).map_err(failed)?;
        let next = later.first().and_then(|next| next.header.filter(|header| header.number == self.expected));
        let len = next.map_or(listed.len, |next| next.previous_end.min(listed.len));
        let window = Window::new(self.io, &file, len);
        let mut walk = Walk::new(window, Seed::new(&self.uuid, listed.number), listed.number);
        let end = walk.run(SEGMENT_DATA, &mut self.cursor, visit, &mut self.damage).map_err(failed)?;
        let torn = later.is_empty() && !end.unreadable;
        if torn || end.trailing == 0 {
            return Ok(end);
        }
        let limit = later.iter().find_map(|segment| segment.header).map(|header| header.first_lsn);
        let stretch = end.offset..end.offset + end.trailing;
        self.damage.push(walk.salvage(stretch.clone(), limit, &mut self.cursor, visit).map_err(failed)?);
        Ok(WalkEnd { offset: stretch.end, trailing: 0, ..end })
    }
}

/// Where the writer goes on: in the last segment, or in a new one when the last is damaged.
fn go_on_from(floor: u64, last: Option<(u64, WalkEnd)>, cursor: &Cursor, damage: &[Damage]) -> Tail {
    let (segment, offset) = match last {
        None => (floor, SEGMENT_DATA),
        Some((number, _)) if damage.iter().any(|d| d.segment == number) => (number + 1, SEGMENT_DATA),
        Some((number, end)) => (number, end.offset),
    };
    Tail {
        segment,
        offset,
        fresh: last.is_none_or(|(number, _)| number != segment),
        next_lsn: Lsn(cursor.next_lsn.unwrap_or(1)),
        chain: cursor.chain.unwrap_or(0),
        end: last.map_or(0, |(_, end)| end.offset),
        floor,
    }
}
