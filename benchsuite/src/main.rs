//! The command line of the measurements: `benchsuite load | node | router | queue`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use benchsuite::figures::Format;
use benchsuite::{load, node, queue, router};
use clap::{Parser, Subcommand};

/// Forebay measured from outside.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send requests at a fixed rate, and tell how many were answered and after how long.
    Load {
        /// What to ask for: `http://127.0.0.1:8080/`.
        url: String,
        /// Requests per second.
        #[arg(long, default_value_t = 500)]
        rate: u32,
        /// Seconds.
        #[arg(long, default_value_t = 10)]
        duration: u64,
        /// Connections, which is also the number of requests in flight at most.
        #[arg(long, default_value_t = 128)]
        connections: usize,
        /// Milliseconds after which a request has failed.
        #[arg(long, default_value_t = 10_000)]
        timeout_ms: u64,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// A node that has nothing to do: start, memory, binary.
    Node(Bench),
    /// The router beside haproxy and nginx: CPU time per request, and what slow endpoints and too much load do.
    Router {
        #[command(flatten)]
        bench: Bench,
        /// Only `small`, `100kB`, `connect`, `idle`, `all-cores`, `node`, `overload`, `tail`, `storm`,
        /// `own-writes` or `idempotency`.
        scenario: Option<String>,
    },
    /// Answer requests on the port in `PORT`: the application of the measurements.
    #[command(hide = true)]
    Application,
    /// The queue beside beanstalkd, redis and RabbitMQ: jobs per second, memory, start, disk.
    Queue {
        #[command(flatten)]
        bench: Bench,
        /// Only scenarios whose names begin so: `drain`, `put-64`.
        #[arg(long)]
        only: Option<String>,
    },
}

#[derive(clap::Args)]
struct Bench {
    /// The `forebay` to measure.
    #[arg(long, default_value = "target/release/forebay")]
    forebay: PathBuf,
    /// Fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// One JSON object per line instead of tables.
    #[arg(long)]
    json: bool,
}

impl Bench {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Table }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<bool> {
    match verb {
        Verb::Load { url, rate, duration, connections, timeout_ms, json } => {
            let plan = load::Plan {
                rate,
                duration: Duration::from_secs(duration),
                connections,
                timeout: Duration::from_millis(timeout_ms),
                ..load::Plan::to(&url)?
            };
            let report = load::start(plan).wait();
            if json {
                println!("{}", serde_json::to_string(&report.summary()).context("cannot print the report")?);
            } else {
                print!("{report}");
            }
            Ok(report.attempted == report.answered)
        }
        Verb::Node(bench) => node::run(&bench.forebay, bench.quick, bench.format()).map(|()| true),
        Verb::Router { bench, scenario } => {
            router::run(&bench.forebay, scenario.as_deref(), bench.quick, bench.format()).map(|()| true)
        }
        Verb::Application => router::serve_as_application().map(|()| true),
        Verb::Queue { bench, only } => {
            queue::run(&bench.forebay, bench.quick, only.as_deref(), bench.format()).map(|()| true)
        }
    }
}
