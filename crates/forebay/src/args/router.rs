//! `forebay router`, and what shows its work: `routes`, `upstreams`, `why`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use net::listen::ListenAddr;

use super::by_hand::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum RouterVerb {
    /// Route requests to the endpoints of a file
    Serve(RouterServeArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  forebay router serve --config router.toml --data /var/lib/forebay --access-log access.json"
)]
pub(crate) struct RouterServeArgs {
    /// The file: settings, upstreams, routes
    #[arg(long, value_name = "FILE", default_value = "router.toml")]
    pub(crate) config: PathBuf,
    /// Addresses for HTTPS, in place of those of the file; its certificates are used
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) https: Vec<ListenAddr>,
    /// Write one line per request to this file; USR1 and HUP open it again, so that it can be moved away
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// How the lines are written
    #[arg(long, value_enum, default_value_t = AccessLogFormat::Json)]
    pub(crate) access_log_format: AccessLogFormat,
    /// Addresses for the admin API, behind the token of the data folder; without --data there is none
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) admin: Vec<ListenAddr>,
}

/// How an access log's lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLogFormat {
    /// One object a line, with everything that is known
    Json,
    /// The combined format of web servers
    Combined,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  forebay routes --watch\n  forebay upstreams --window 10s --json")]
pub(crate) struct LiveArgs {
    /// Look again and again; with --json one object a line
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Time between the two looks that rates and latencies are of
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) window: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  forebay why 4bf92f3577b34da6a3ce929d0e0e4736\n  \
                        forebay why 4bf92f3577b34da6a3ce929d0e0e4736 --access-log access.json")]
pub(crate) struct WhyArgs {
    /// The request's trace: the `Forebay-Trace` header of its reply
    #[arg(value_name = "TRACE")]
    pub(crate) id: String,
    /// Look into this access log, written as JSON lines, instead of a node's logs
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
}
