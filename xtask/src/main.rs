//! What is done to the repository by command: `cargo xtask test`, `tidy`, `simulate`, `powercut`, `bench`, `conformance`.

mod bench;
mod conformance;
mod packages;
mod powercut;
mod rust;
mod simulate;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything that must hold before a commit lands: format, clippy, tidy, docs, licences, all tests.
    Test,
    /// What can be checked of the house's rules.
    Tidy {
        /// Lower the ratchets of `xtask/tidy.toml` to what is true now.
        #[arg(long)]
        tighten: bool,
    },
    /// The queue and its log on a disk that loses power, fails and fills up. Seeds are printed.
    Simulate(simulate::Args),
    /// The queue in a virtual machine whose power is cut under load.
    Powercut(powercut::Args),
    /// What a node costs, and the router and the queue beside their peers.
    Bench(bench::Args),
    /// A public conformance suite against ours.
    Conformance(conformance::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Test => test::run(),
        Verb::Tidy { tighten } => tidy::run(tighten),
        Verb::Simulate(args) => simulate::run(&args),
        Verb::Powercut(args) => powercut::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Conformance(args) => conformance::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
