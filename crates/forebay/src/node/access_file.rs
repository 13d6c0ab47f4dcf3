//! The access log of a router that runs alone: a file, as JSON lines or in the combined format of web servers.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use router::AccessRecord;
use serde_json::json;

use crate::args::AccessLogFormat;
use crate::output::{self, Quit};
use crate::wire;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Says that the log was moved away and wants opening again.
#[derive(Clone, Debug, Default)]
pub(super) struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// From its next line on the log is the file that then has its name.
    pub(super) fn ask(&self) {
        self.0.store(true, Relaxed);
    }
}

/// One line per request. A file that cannot be written to is said once per outage; requests go on.
pub(super) fn into_file(
    path: &Path,
    format: AccessLogFormat,
    reopen: Reopen,
) -> Result<wire::router_logs::Outlet, Quit> {
    let mut log = Log { path: path.to_path_buf(), out: open(path)?, format };
    let mut broken = false;
    Ok(Box::new(move |records, dropped| {
        if reopen.0.swap(false, Relaxed) {
            log.reopen();
        }
        match log.write(records, dropped) {
            Err(error) if !broken => {
                broken = true;
                output::progress(&format!("the access log cannot be written: {error}"));
            }
            Err(_) => {}
            Ok(()) => broken = false,
        }
    }))
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
}

struct Log {
    path: PathBuf,
    out: BufWriter<File>,
    format: AccessLogFormat,
}

impl Log {
    /// The old file stays in use where a new one cannot be had.
    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(out) => self.out = out,
            Err(error) => output::progress(&format!("the access log cannot be opened again: {error}")),
        }
    }

    fn write(&mut self, records: &[AccessRecord], dropped: u64) -> io::Result<()> {
        // A line goes out in one piece: another process may write to the same file.
        let mut line = Vec::new();
        for record in records {
            line.clear();
            match self.format {
                AccessLogFormat::Json => serde_json::to_writer(&mut line, &wire::access::line(record))?,
                AccessLogFormat::Combined => line.extend_from_slice(wire::combined::line(record).as_bytes()),
            }
            line.push(b'\n');
            self.out.write_all(&line)?;
        }
        // The combined format has no place for it; the metrics say it too.
        if dropped > 0 && self.format == AccessLogFormat::Json {
            self.out.write_all(format!("{}\n", json!({ "dropped_records": dropped })).as_bytes())?;
        }
        self.out.flush()
    }
}
