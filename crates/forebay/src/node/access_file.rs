//! The access log of a router that runs alone: a file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::output::{self, Quit};
use crate::wire;

/// One JSON line per request. A file that cannot be written to is said once per outage; requests go on.
pub(super) fn into_file(path: &Path) -> Result<wire::router_logs::Outlet, Quit> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(64 << 10, file);
    let mut broken = false;
    Ok(Box::new(move |records, dropped| {
        let mut write = || {
            for record in records.iter() {
                let mut fields = wire::access::fields(record);
                fields.insert("time_ns".into(), record.time.0.into());
                fields.insert("trace".into(), record.trace.trace.to_string().into());
                serde_json::to_writer(&mut out, &fields)?;
                out.write_all(b"\n")?;
            }
            if dropped > 0 {
                serde_json::to_writer(&mut out, &BTreeMap::from([("dropped_records", dropped)]))?;
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        match write() {
            Err(error) if !broken => {
                broken = true;
                output::progress(&format!("the access log cannot be written: {error}"));
            }
            Err(_) => {}
            Ok(()) => broken = false,
        }
    }))
}
