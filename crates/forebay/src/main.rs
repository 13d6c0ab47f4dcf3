//! One binary: it deploys applications, routes requests to them, queues their work and keeps their logs.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod node;
mod notify;
mod output;
mod paths;
mod self_log;
mod upgrade;
mod verbs;
mod wire;

fn main() -> ExitCode {
    // Before anything else: an init process stays single-threaded and small, and what else is in its arguments is for
    // people who look at `ps`.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "init") {
        return runtime::init::main();
    }
    if let Some(words) = verbs::beanstalkd::called_by_name() {
        return end(run(verbs::beanstalkd::run(&words)), false);
    }
    let cli = args::Cli::parse();
    let json = cli.global.json;
    end(run(verbs::run(cli)), json)
}

fn end(done: output::Done, json: bool) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(quit) => quit.report(json),
    }
}

/// Everything but an init process runs on one thread with its own reactor; planes start their own threads.
fn run(verb: impl Future<Output = output::Done>) -> output::Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let done = local.block_on(&runtime, verb);
    drop(local);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}
