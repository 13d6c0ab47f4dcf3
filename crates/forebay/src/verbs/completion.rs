//! `forebay completion SHELL`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::output::Done;

pub(super) fn run(args: &CompletionArgs) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "forebay", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?)
}
