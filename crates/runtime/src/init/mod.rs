//! `forebay init`: the parent of one application.
//!
//! One thread and one poll loop, because it forks and because it is there once per instance and must stay small. It
//! lives in a session of its own, so that it outlives the node, and in no folder but `/`. In order: read the spec
//! ([`main`]), leave the node (`detach`), prepare and start the application (`boot`), tell the node's waiting pipe,
//! serve until the application has ended and a node knows it (`serve`).

mod boot;
mod child;
mod children;
mod conn;
mod detach;
mod listener;
mod pipes;
mod secrets;
mod serve;
mod signals;

pub(crate) use secrets::remove as remove_secrets;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::protocol::{Failure, Report, Stage};
use crate::spec::Spec;

/// Bytes of a spec, as it is written: its secrets and its environment are bounded, and JSON takes four bytes for one.
const SPEC_BYTES_MAX: u64 = 16 << 20;

/// Runs `forebay init`: the spec is read from standard input, the report of the start written to standard output. To
/// be called before the process has started a thread. Returns when the instance has ended and a node knows of it.
pub fn main() -> ExitCode {
    let begun = read_spec().and_then(|spec| detach::from_node().map(|who| (spec, who)));
    let started = match begun {
        Ok((_, detach::Who::Parent)) => return ExitCode::SUCCESS,
        Ok((spec, detach::Who::Init)) => boot::start(spec),
        Err(failure) => Err(failure),
    };
    match started {
        Ok(init) => {
            // A node that died meanwhile reads no report; its application runs on, and the next node asks the socket.
            let ticket = init.ticket().clone();
            if let Err(error) = report(&Report::Started(ticket)).and_then(|()| detach::from_stdio()) {
                tracing::debug!(%error, "nobody waits for the report");
            }
            serve::run(init)
        }
        Err(failure) => match report(&Report::Failed(failure)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

fn read_spec() -> Result<Spec, Failure> {
    let stdin = || -> io::Result<Vec<u8>> {
        let mut json = vec![];
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        file.take(SPEC_BYTES_MAX).read_to_end(&mut json)?;
        Ok(json)
    };
    let json = stdin().map_err(|e| Failure::system(Stage::Spec, e))?;
    let spec: Spec = serde_json::from_slice(&json).map_err(|e| Failure::because(Stage::Spec, e.to_string()))?;
    spec.check().map_err(|e| Failure::because(Stage::Spec, e.to_string()))?;
    Ok(spec)
}

fn report(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&serde_json::to_vec(report)?)?;
    out.flush()
}
