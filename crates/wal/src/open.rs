//! Opening a log: find out what is on disk, deliver it in order, make the end fit to go on from.

use std::path::Path;
use std::sync::Arc;

use stdx::io::Io;

use crate::committer::Committer;
use crate::config::Config;
use crate::error::{DiskError, OpenError};
use crate::files::Files;
use crate::reader::Reader;
use crate::recover::Recovery;
use crate::report::Report;
use crate::shared::Shared;
use crate::survey::Survey;
use crate::types::{Found, Lsn, Progress, Resume};
use crate::writer::Writer;

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
    open_after(io, config, None, &mut |_| (), visit)
}

/// As [`open`], but hands out only the records behind `resume`; older segments are not read, so that damage in them shows
/// when somebody reads there. `progress` is told after each segment.
///
/// # Errors
/// [`OpenError`]; [`OpenError::Elsewhere`] when it is another log, when it ends before that record, or when some behind it
/// are gone. Then nothing is changed on disk, and what `visit` was given is worth nothing.
pub fn open_after<D: Io>(
    io: D,
    config: Config,
    resume: Option<Resume>,
    progress: &mut dyn FnMut(Progress),
    visit: &mut dyn FnMut(Found<'_>),
) -> Result<Opened<D>, OpenError> {
    make_folder(&io, &config.folder)?;
    let survey = Survey::take(&io, &config)?;
    let uuid = survey.uuid.unwrap_or_else(new_uuid);
    let elsewhere = |lsn| OpenError::Elsewhere { folder: config.folder.clone(), lsn };
    let after = match resume {
        Some(Resume { log, lsn }) if log != uuid || !survey.goes_on_from(lsn) => return Err(elsewhere(lsn)),
        Some(Resume { lsn, .. }) => lsn,
        None => Lsn(0),
    };
    let recovery = Recovery::run(&io, &config, &survey, uuid, after, progress, visit)?;
    if recovery.report.last_lsn < after {
        return Err(elsewhere(after));
    }
    recovery.settle(&io, &config, &survey)?;

    let shared = Arc::new(Shared::new(config.folder.clone(), uuid, recovery.segments));
    recovery.report.damage.iter().for_each(|damage| shared.keep_file(damage.segment));
    let files = Arc::new(Files::new(io.clone(), Arc::clone(&shared)));
    Ok(Opened {
        writer: Writer::new(Arc::clone(&shared), &config, recovery.tail),
        committer: Committer::open(io, &config, Arc::clone(&shared), Arc::clone(&files), recovery.tail)?,
        reader: Reader::new(shared, files),
        report: recovery.report,
    })
}

/// Reads a log as [`open`] does and changes nothing: a torn end is told and stays, and so does whatever else is left over. The log
/// may be in use; then what is being written at its end may look torn.
///
/// # Errors
/// [`OpenError`]. Damage to records is no error, but part of the report.
pub fn inspect<D: Io>(io: &D, config: &Config, visit: &mut dyn FnMut(Found<'_>)) -> Result<Report, OpenError> {
    let survey = Survey::take(io, config)?;
    let uuid = survey.uuid.unwrap_or_else(new_uuid);
    Ok(Recovery::run(io, config, &survey, uuid, Lsn(0), &mut |_| (), visit)?.report)
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
