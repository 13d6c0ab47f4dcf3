//! What can be typed behind `forebay queue dead` and `forebay queue replay`.

use clap::Args;

use super::queue::{ScopeFlags, seconds};

/// Which dead jobs.
#[derive(Debug, Args)]
pub(crate) struct DeadFlags {
    /// The job
    pub(crate) job: Option<u64>,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
    /// Those that lie in this tube
    #[arg(long, value_name = "TUBE")]
    pub(crate) tube: Option<String>,
    /// Those that died in this tube
    #[arg(long, value_name = "TUBE")]
    pub(crate) from: Option<String>,
    /// Those whose last attempt ended so
    #[arg(long, value_name = "HOW", value_parser = ["failed", "timed-out", "released"])]
    pub(crate) end: Option<String>,
    /// Those in whose last reason this stands
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Those that died within the last 90s, 5m, 2h, 30d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) since: Option<u32>,
    /// Those that died longer ago
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) before: Option<u32>,
}

impl DeadFlags {
    /// Whether nothing narrows it down.
    pub(crate) fn is_all(&self) -> bool {
        let DeadFlags { job, scope: _, tube, from, end, reason, since, before } = self;
        job.is_none() && since.or(*before).is_none() && [tube, from, end, reason].iter().all(|text| text.is_none())
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(flatten)]
    pub(crate) which: DeadFlags,
    /// How many to list, at most 1000
    #[arg(short, value_name = "N", default_value_t = 100)]
    pub(crate) n: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) which: DeadFlags,
    /// All that are dead
    #[arg(long)]
    pub(crate) all: bool,
    /// Into this tube [default: that in which each of them died]
    #[arg(long, value_name = "TUBE")]
    pub(crate) into: Option<String>,
    /// How many at once, at most 1000
    #[arg(short, value_name = "N", default_value_t = 1000)]
    pub(crate) n: u32,
    /// Only say which it would be
    #[arg(long)]
    pub(crate) preview: bool,
}
