//! What lies in a log's folder, seen before anything is delivered or changed.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use stdx::io::{Io, OpenMode};

use crate::config::Config;
use crate::error::{DiskError, OpenError};
use crate::format::{HEADER_COPY, HeaderFault, SEGMENT_DATA, SEGMENT_HEADER, Seed, SegmentHeader, VERSION};
use crate::names::{self, Name};
use crate::report::{Damage, DamageKind};
use crate::types::Lsn;
use crate::walk::{Cursor, Walk};
use crate::window::Window;

/// One segment file and its header.
pub(crate) struct Listed {
    pub(crate) number: u64,
    pub(crate) len: u32,
    /// `None` when neither copy can be read.
    pub(crate) header: Option<SegmentHeader>,
    /// What is wrong with the header or one of its copies.
    pub(crate) damage: Option<Damage>,
}

/// The folder's content.
pub(crate) struct Survey {
    /// Segments that are part of the log, by number.
    pub(crate) live: Vec<Listed>,
    /// Files to unlink: of segments below the floor, and temporaries.
    pub(crate) leftovers: Vec<PathBuf>,
    /// The oldest segment that is part of the log.
    pub(crate) floor: u64,
    /// The log's identity; `None` when there are no segments.
    pub(crate) uuid: Option<[u8; 16]>,
}

impl Survey {
    pub(crate) fn take<D: Io>(io: &D, config: &Config) -> Result<Survey, OpenError> {
        let folder = &config.folder;
        let mut listed = Vec::new();
        let mut leftovers = Vec::new();
        for name in io.list(folder).map_err(|e| DiskError::new("list", folder, e))? {
            match Name::parse(&name) {
                Name::Segment(number) => listed.push(read_header(io, config, number)?),
                Name::Temporary(_) => leftovers.push(folder.join(name)),
                Name::Quarantined(_) | Name::Other => {}
            }
        }
        listed.sort_unstable_by_key(|segment| segment.number);
        let uuid = one_identity(config, &listed)?;
        let floor = match uuid {
            Some(uuid) => find_floor(io, config, uuid, &listed)?,
            None => 1,
        };
        let live = listed.partition_point(|segment| segment.number < floor);
        leftovers.extend(listed.drain(..live).map(|segment| names::segment(folder, segment.number)));
        Ok(Survey { live: listed, leftovers, floor, uuid })
    }
}

impl Survey {
    /// Whether no record behind `lsn` was in a segment that is gone.
    pub(crate) fn goes_on_from(&self, lsn: Lsn) -> bool {
        let first = self.live.first().and_then(|segment| segment.header);
        first.is_some_and(|header| header.first_lsn <= lsn.next().0)
    }

    /// How many of the oldest segments hold only whole records up to `lsn`, as far as headers and lengths tell.
    pub(crate) fn known_up_to(&self, lsn: Lsn) -> usize {
        let known = |two: &&[Listed]| match (&two[0], two[1].header) {
            (Listed { number, len, damage: None, .. }, Some(next)) => {
                next.number == number + 1 && next.first_lsn <= lsn.next().0 && next.previous_end <= *len
            }
            _ => false,
        };
        self.live.windows(2).take_while(known).count()
    }
}

fn read_header<D: Io>(disk: &D, config: &Config, number: u64) -> Result<Listed, OpenError> {
    let path = names::segment(&config.folder, number);
    let file = disk.open(&path, OpenMode::Read).map_err(|e| DiskError::new("open", &path, e))?;
    let len = disk.len(&file).map_err(|e| DiskError::new("measure", &path, e))?;
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let mut copies = Vec::with_capacity(2);
    let mut failed = None;
    for at in [0, HEADER_COPY] {
        let mut bytes = [0; SEGMENT_HEADER];
        if let Err(e) = disk.read_exact_at(&file, &mut bytes, u64::from(at))
            && e.kind() != io::ErrorKind::UnexpectedEof
            && let Some(e) = failed.replace(e)
        {
            // Not one bad sector: the device does not read.
            return Err(DiskError::new("read", &path, e).into());
        }
        match SegmentHeader::decode(&bytes) {
            Ok(header) if header.number == number => copies.push(header),
            Err(HeaderFault::Newer(found)) => return Err(OpenError::Newer { path, found, known: VERSION }),
            Ok(_) | Err(HeaderFault::Damaged) => {}
        }
    }
    let whole = copies.len() == 2 && copies[0] == copies[1];
    let damage = (!whole).then(|| Damage {
        segment: number,
        what: DamageKind::Header,
        from: 0,
        to: len.min(SEGMENT_DATA),
        lost: Vec::new(),
    });
    Ok(Listed { number, len, header: copies.first().copied(), damage })
}

/// The identity that all readable headers share.
fn one_identity(config: &Config, listed: &[Listed]) -> Result<Option<[u8; 16]>, OpenError> {
    let mut known: Option<(u64, [u8; 16])> = None;
    for segment in listed {
        let Some(header) = segment.header else { continue };
        match known {
            Some((older, uuid)) if uuid != header.uuid => {
                return Err(OpenError::Foreign {
                    path: names::segment(&config.folder, older),
                    other: names::segment(&config.folder, segment.number),
                });
            }
            _ => known = Some((segment.number, header.uuid)),
        }
    }
    match known {
        None if !listed.is_empty() => Err(OpenError::Unreadable { folder: config.folder.clone() }),
        known => Ok(known.map(|(_, uuid)| uuid)),
    }
}

/// The newest floor on disk. Each header repeats the floor of its time, so only the newest readable segment is walked.
/// It must be known before the first record is delivered: of the segments below it any may be gone already, and a put
/// without its delete must not come back.
fn find_floor<D: Io>(io: &D, config: &Config, uuid: [u8; 16], listed: &[Listed]) -> Result<u64, OpenError> {
    let mut cursor = Cursor::default();
    let Some((newest, header)) = listed.iter().rev().find_map(|s| s.header.map(|header| (s, header))) else {
        return Ok(1);
    };
    let path = names::segment(&config.folder, newest.number);
    let file = io.open(&path, OpenMode::Read).map_err(|e| DiskError::new("open", &path, e))?;
    let mut walk = Walk::new(Window::new(io, &file, newest.len), Seed::new(&uuid, newest.number), newest.number);
    walk.run(SEGMENT_DATA, &mut cursor, &mut |_| ControlFlow::Continue(()), &mut Vec::new())
        .map_err(|e| DiskError::new("read", &path, e))?;
    Ok(cursor.floor.max(header.floor).clamp(1, newest.number))
}
