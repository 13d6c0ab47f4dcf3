//! Opening a log: find out what is on disk, deliver it in order, make the end fit to go on from.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use stdx::io::{Io, OpenMode};

use crate::committer::Committer;
use crate::config::Config;
use crate::error::{DiskError, OpenError};
use crate::files::Files;
use crate::format::{SEGMENT_DATA, Seed};
use crate::names;
use crate::reader::Reader;
use crate::report::{Damage, DamageKind, Report, Torn};
use crate::shared::Shared;
use crate::survey::{Listed, Survey};
use crate::types::{Found, Lsn, Segment};
use crate::walk::{Cursor, Walk, WalkEnd};
use crate::window::Window;
use crate::writer::{Tail, Writer};

/// A log, ready for use.
pub struct Opened<D: Io> {
    /// The end that takes records.
    pub writer: Writer,
    /// The end that writes them, on a thread of its own ([`crate::CommitThread`]) or called directly.
    pub committer: Committer<D>,
    /// Reads records back; clone it as often as needed.
    pub reader: Reader<D>,
    /// What was found. Look at [`Report::is_clean`]: damage is delivered to nobody else.
    pub report: Report,
}

/// Opens the log in `config.folder`, or starts one, and hands every record that is still part of it to `visit` in the
/// order of their LSNs, each once.
///
/// A crash at any point, also while this runs, leaves what a further call recovers in the same way. The caller holds the
/// lock on the folder.
///
/// # Errors
/// [`OpenError`]. Damage to records is no error: see [`Opened::report`].
pub fn open<D: Io>(io: D, config: Config, visit: &mut dyn FnMut(Found<'_>)) -> Result<Opened<D>, OpenError> {
    make_folder(&io, &config.folder)?;
    let survey = Survey::take(&io, &config)?;
    let uuid = survey.uuid.unwrap_or_else(new_uuid);
    let recovery = Recovery::run(&io, &config, &survey, uuid, visit)?;
    recovery.settle(&io, &config, &survey)?;

    let damaged = recovery.report.damage.iter().map(|damage| damage.segment).collect();
    let shared = Arc::new(Shared::new(config.folder.clone(), uuid, recovery.segments));
    let files = Arc::new(Files::new(io.clone(), Arc::clone(&shared)));
    Ok(Opened {
        writer: Writer::new(Arc::clone(&shared), &config, recovery.tail),
        committer: Committer::open(io, &config, Arc::clone(&shared), Arc::clone(&files), recovery.tail, damaged)?,
        reader: Reader::new(shared, files),
        report: recovery.report,
    })
}

fn make_folder<D: Io>(io: &D, folder: &Path) -> Result<(), DiskError> {
    io.create_dir(folder).map_err(|e| DiskError::new("create", folder, e))?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            io.sync_dir(parent).map_err(|e| DiskError::new("sync", parent, e))
        }
        _ => Ok(()),
    }
}

fn new_uuid() -> [u8; 16] {
    stdx::rng::from_kernel().u128(..).to_le_bytes()
}

/// What the log holds, and where it goes on.
struct Recovery {
    report: Report,
    segments: Vec<Segment>,
    tail: Tail,
    /// The last segment's number and how its walk ended.
    last: Option<(u64, WalkEnd)>,
}

impl Recovery {
    /// Reads all live segments; changes nothing.
    fn run<D: Io>(
        io: &D,
        config: &Config,
        survey: &Survey,
        uuid: [u8; 16],
        visit: &mut dyn FnMut(Found<'_>),
    ) -> Result<Recovery, OpenError> {
        let mut report = Report { segments: survey.live.len() as u64, ..Report::default() };
        // Nothing was ever removed below floor 1, so the first record is known.
        let next_lsn = (survey.floor == 1).then_some(1);
        let mut cursor = Cursor { floor: survey.floor, next_lsn, ..Cursor::default() };
        let mut segments = Vec::with_capacity(survey.live.len());
        let mut last = None;
        let mut expected = survey.floor;
        for (i, listed) in survey.live.iter().enumerate() {
            let later = &survey.live[i + 1..];
            enter(listed, expected, &mut cursor, &mut report.damage);
            let first_lsn = cursor.next_lsn;
            let end = walk_segment(io, config, uuid, listed, later, &mut cursor, visit, &mut report.damage)?;
            let first_lsn = Lsn(first_lsn.or(cursor.next_lsn).unwrap_or(1));
            segments.push(Segment { number: listed.number, first_lsn, bytes: end.offset });
            last = Some((listed.number, end));
            expected = listed.number + 1;
        }
        report.records = cursor.records;
        report.last_lsn = Lsn(cursor.next_lsn.unwrap_or(1) - 1);
        report.unlinked = survey.leftovers.len() as u64;
        if let Some((segment, end)) = last
            && end.trailing > 0
        {
            report.torn = Some(Torn { segment, offset: end.offset, bytes: end.trailing });
        }
        let tail = go_on_from(survey.floor, last, &cursor, &report.damage);
        Ok(Recovery { report, segments, tail, last })
    }

    /// Makes the end durable and free of what was cut, and removes leftovers. Each step may be repeated after a crash.
    ///
    /// The last batch is written once more: it may stand only in the page cache, if the process before us died of a
    /// failed sync. All batches before it were synced with success, or it would not be there.
    fn settle<D: Io>(&self, io: &D, config: &Config, survey: &Survey) -> Result<(), DiskError> {
        if let Some((number, end)) = self.last
            && end.offset > 0
        {
            let path = names::segment(&config.folder, number);
            let file = io.open(&path, OpenMode::Write).map_err(|e| DiskError::new("open", &path, e))?;
            if end.trailing > 0 {
                io.set_len(&file, u64::from(end.offset)).map_err(|e| DiskError::new("cut", &path, e))?;
            }
            if let Some(at) = end.last_batch {
                let mut batch = vec![0; (end.offset - at) as usize];
                io.read_exact_at(&file, &mut batch, u64::from(at)).map_err(|e| DiskError::new("read", &path, e))?;
                io.write_all_at(&file, &batch, u64::from(at)).map_err(|e| DiskError::new("write", &path, e))?;
            }
            io.sync_data(&file).map_err(|e| DiskError::new("sync", &path, e))?;
        }
        for path in &survey.leftovers {
            io.unlink(path).map_err(|e| DiskError::new("unlink", path, e))?;
        }
        io.sync_dir(&config.folder).map_err(|e| DiskError::new("sync", &config.folder, e))
    }
}

/// Compares a segment's header with where the reading has come to.
fn enter(listed: &Listed, expected: u64, cursor: &mut Cursor, damage: &mut Vec<Damage>) {
    let missing = listed.number > expected;
    let mut lost = Vec::new();
    match listed.header {
        Some(header) => {
            cursor.skip_to(header.first_lsn, &mut lost);
            cursor.chain = Some(header.chain);
        }
        None => cursor.chain = None,
    }
    if missing {
        let what = DamageKind::Missing { last: listed.number - 1 };
        damage.push(Damage { segment: expected, what, from: 0, to: 0, lost });
    } else if !lost.is_empty() {
        damage.push(Damage { segment: expected - 1, what: DamageKind::Truncated, from: 0, to: 0, lost });
    }
    damage.extend(listed.damage.clone());
}

/// Delivers one segment. What trails it is damage when a later segment follows, and the torn end of the log otherwise.
#[allow(clippy::too_many_arguments, reason = "the state of one pass over the log, used once")]
fn walk_segment<D: Io>(
    io: &D,
    config: &Config,
    uuid: [u8; 16],
    listed: &Listed,
    later: &[Listed],
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(Found<'_>),
    damage: &mut Vec<Damage>,
) -> Result<WalkEnd, DiskError> {
    let path = names::segment(&config.folder, listed.number);
    let failed = |e| DiskError::new("read", &path, e);
    let file = io.open(&path, OpenMode::Read).map_err(|e| DiskError::new("open", &path, e))?;
    let mut visit = |found: Found<'_>| {
        visit(found);
        ControlFlow::Continue(())
    };
    let mut walk = Walk::new(Window::new(io, &file, listed.len), Seed::new(&uuid, listed.number), listed.number);
    let mut end = walk.run(SEGMENT_DATA, cursor, &mut visit, damage).map_err(failed)?;
    if !later.is_empty() && end.trailing > 0 {
        let limit = later.iter().find_map(|segment| segment.header).map(|header| header.first_lsn);
        let stretch = end.offset..end.offset + end.trailing;
        damage.push(walk.salvage(stretch, limit, cursor, &mut visit).map_err(failed)?);
        end = WalkEnd { offset: end.offset + end.trailing, trailing: 0, ..end };
    }
    Ok(end)
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
        floor,
    }
}
