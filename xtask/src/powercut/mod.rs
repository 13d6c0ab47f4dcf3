//! `cargo xtask powercut`: a virtual machine with a queue in it, whose power is cut under load, again and again; and a ledger
//! on this side of the cut, which knows what was acknowledged.
//!
//! What a cut takes away: the guest's memory, so all that its kernel had not written; and, because each round writes into
//! a fresh qcow2 overlay whose tables QEMU keeps in its own memory until the guest flushes, also what the guest had written and
//! not flushed, like a disk with a volatile cache. What it does not show is a disk that tears a sector or reorders within
//! one flush: that is the simulator's matter. Two faults are planted at the end, a queue that never syncs and a
//! file system that never flushes; jobs must be missing then, or the test could not fail.

mod client;
mod guest;
mod ledger;
mod load;
mod machine;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::packages::{self, Program};
use crate::workspace;
use guest::{Fault, Guest};
use ledger::Ledger;
use machine::{Disk, Machine};

/// How often, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cuts, each a few seconds after the machine has started.
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Leave out the two planted faults.
    #[arg(long)]
    honest: bool,
}

const NEEDED: [Program; 4] = [
    Program { name: "qemu-system-x86_64", package: "qemu-system-x86" },
    Program { name: "qemu-img", package: "qemu-utils" },
    Program { name: "busybox", package: "busybox-static" },
    Program { name: "mkfs.ext4", package: "e2fsprogs" },
];

/// Cuts the power and checks what is left.
///
/// # Errors
/// When something that was acknowledged is not as it was, when a planted fault goes unnoticed, or when there is no machine to be
/// had although its programs are installed.
pub(crate) fn run(args: &Args) -> Result<()> {
    for program in &NEEDED {
        if let Err(why) = packages::ensure(program) {
            println!("skipped: there is no machine whose power could be cut: {why}");
            return Ok(());
        }
    }
    let folder = workspace::target().join("powercut");
    let guest = Guest::build(&folder)?;
    let left = cut(&guest, &folder.join("honest"), Fault::None, args.rounds)?;
    println!("{}", left.summary);
    ensure!(left.faults.is_empty(), "after a power cut:\n{}", left.faults.join("\n"));
    if args.honest {
        return Ok(());
    }
    for (what, fault) in
        [("a queue that never syncs", Fault::NeverSynced), ("a file system that never flushes", Fault::NeverFlushed)]
    {
        let left = cut(&guest, &folder.join("planted"), fault, 1)?;
        println!("planted, {what}: {}; {} faults found", left.summary, left.faults.len());
        ensure!(!left.faults.is_empty(), "{what} lost nothing: this test sees no loss");
    }
    Ok(())
}

/// What was found after all cuts.
struct Left {
    summary: String,
    faults: Vec<String>,
}

/// Cuts the power so many times, looks after each cut, and at the end takes all jobs out. Stops at the first cut that left
/// something wrong.
fn cut(guest: &Guest, folder: &Path, fault: Fault, rounds: u32) -> Result<Left> {
    let disk = Disk::create(folder)?;
    let mut ledger = Ledger::default();
    for round in 0..=rounds {
        let machine = Machine::start(guest, &disk, fault).with_context(|| format!("round {round}"))?;
        if round > 0 {
            let mut client = machine.connect()?;
            ledger.check(&mut client)?;
            if ledger.has_faults() || round == rounds {
                ledger.take_all(&mut client)?;
                machine.cut(&disk)?;
                break;
            }
        }
        // Cuts come at moments of their own: 0.5 to 4 seconds after the first clients.
        let pause = Duration::from_millis(500 + u64::from(round) * 2_579 % 3_500);
        let before = ledger.acknowledged();
        load::during(&machine, &mut ledger, pause, round, || machine.cut(&disk))?;
        println!(
            "cut {} after {} ms: {} more acknowledged",
            round + 1,
            pause.as_millis(),
            ledger.acknowledged() - before
        );
    }
    Ok(Left { summary: ledger.summary(), faults: ledger.into_faults() })
}
