//! The init process of the whole-plane tests: what `forebay init` is in the real binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::init::main()
}
