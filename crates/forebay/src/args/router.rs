//! `forebay router`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use net::listen::ListenAddr;

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
    /// Write one JSON line per request to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Addresses for the admin API, behind the token of the data folder; without --data there is none
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) admin: Vec<ListenAddr>,
}
