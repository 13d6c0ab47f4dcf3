//! `forebay init` without the rest of Forebay: what the tests start, and the smallest that an init can be.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::init::main()
}
