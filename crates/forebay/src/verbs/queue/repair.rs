//! `forebay queue repair`: a queue's folder without its damage.

use control::error::ApiError;
use queue::backup::{self, Repaired};

use crate::args::{Global, RepairArgs};
use crate::output::{self, Done};

/// Jobs that are named; `--json` names all.
const NAMED_MAX: usize = 20;

pub(super) fn run(global: &Global, args: RepairArgs) -> Done {
    let folder = match args.folder {
        Some(folder) => folder,
        None => super::super::data_dir(global)?.plane("queue"),
    };
    let done = if args.dry_run { backup::preview(&folder) } else { backup::repair(&folder) };
    let repaired = done.map_err(ApiError::from)?;
    if global.json { Ok(output::json_line(&repaired)?) } else { tell(&repaired) }
}

fn tell(repaired: &Repaired) -> Done {
    let Repaired { damage, jobs_lost, jobs_whole, records_lost, segments, kept, dry_run, .. } = repaired;
    if damage.is_empty() {
        return Ok(output::line(&format!("nothing is damaged; {jobs_whole} jobs"))?);
    }
    for stretch in damage {
        output::line(stretch)?;
    }
    output::line(&format!("{records_lost} records are lost; {jobs_whole} jobs are whole"))?;
    for job in jobs_lost.iter().take(NAMED_MAX) {
        output::line(&format!(
            "job {} of {}: its body of {} bytes is lost; it is buried",
            job.id, job.tube, job.bytes
        ))?;
    }
    if jobs_lost.len() > NAMED_MAX {
        output::line(&format!("and {} more; --json names them all", jobs_lost.len() - NAMED_MAX))?;
    }
    if *dry_run {
        return Ok(output::line(&format!("{} segments would be written again; nothing was changed", segments.len()))?);
    }
    for name in kept {
        output::line(&format!("kept: {name}"))?;
    }
    Ok(())
}
