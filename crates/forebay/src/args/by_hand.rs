//! `forebay breaker`, `forebay degrade`, `forebay fault`: the router controlled by hand.

use std::time::Duration;

use clap::{Args, Subcommand};
use stdx::ids::AppName;

use super::EnvFlag;

/// How long, and why.
#[derive(Debug, Args)]
pub(crate) struct HandFlags {
    /// For how long: 30s, 10m, 2h [default: until it is set otherwise]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) lasts: Option<Duration>,
    /// Why; it stands in the log beside who and when
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  forebay breaker trip shop/production/ --for 10m --why 'the database is being moved'\n  \
                        forebay breaker auto shop/production/\n  forebay breaker log"
)]
pub(crate) enum BreakerVerb {
    /// Open a route's breaker: its requests are answered without an endpoint
    Trip(BreakerArgs),
    /// Close a route's breaker: its requests pass, whatever becomes of them
    Close(BreakerArgs),
    /// Let a route's breaker decide by itself again
    Auto {
        /// The route, as `forebay routes` names it
        route: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// List the breakers and degrade levels that are set by hand
    Ls,
    /// Who set and took back what by hand, and why
    Log,
}

#[derive(Debug, Args)]
pub(crate) struct BreakerArgs {
    /// The route, as `forebay routes` names it
    pub(crate) route: String,
    #[command(flatten)]
    pub(crate) hand: HandFlags,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  forebay degrade shop 2 --for 30m --why 'the sale begins'\n  forebay degrade shop auto"
)]
pub(crate) struct DegradeArgs {
    /// The application
    pub(crate) app: AppName,
    /// From 0, all is well, to 3; `auto`: by load
    #[arg(value_parser = level)]
    pub(crate) level: Level,
    #[command(flatten)]
    pub(crate) hand: HandFlags,
    #[command(flatten)]
    pub(crate) env: EnvFlag,
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  forebay maintenance on shop --for 30m --message 'back at noon' --allow 192.0.2.0/24\n  \
                        forebay maintenance on shop/production/admin\n  forebay maintenance off shop"
)]
pub(crate) enum MaintenanceVerb {
    /// Answer 503 with Retry-After and the routes' fallback page, or a message; the application is not asked
    On(MaintenanceArgs),
    /// Ask the application again
    Off {
        /// The application, or a route as `forebay routes` names it
        #[arg(value_name = "APP|ROUTE")]
        of: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        env: EnvFlag,
    },
    /// List what is being worked on
    Ls,
}

#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    /// The application, or a route as `forebay routes` names it
    #[arg(value_name = "APP|ROUTE")]
    pub(crate) of: String,
    /// What clients are told, in place of the fallback page
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// When clients may ask again [default: the time of --for, else 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) retry_after: Option<Duration>,
    /// Clients that are let in all the same: an address or a network; may be given often
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<String>,
    #[command(flatten)]
    pub(crate) hand: HandFlags,
    #[command(flatten)]
    pub(crate) env: EnvFlag,
}

/// A degrade level, or nobody's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// This one.
    Set(u8),
    /// What the load says.
    Auto,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  forebay fault add shop/production/ --delay 200ms --share 30% --for 5m\n  \
                        forebay fault add shop/production/ --error 503 --endpoint web.2\n  forebay fault rm shop/production/")]
pub(crate) enum FaultVerb {
    /// Let a share of a route's tries meet a delay, an error or a reset in the endpoint's place
    Add(FaultArgs),
    /// List the faults
    Ls,
    /// Remove a fault by its number, or all faults of a route
    Rm {
        /// A number of `forebay fault ls`, or a route
        #[arg(value_name = "ID|ROUTE")]
        which: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("effect").required(true).multiple(true).args(["delay", "error", "reset"]))]
pub(crate) struct FaultArgs {
    /// The route, as `forebay routes` names it
    pub(crate) route: String,
    /// Wait so long before the endpoint is asked
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) delay: Option<Duration>,
    /// Answer with this status in the endpoint's place
    #[arg(long, value_name = "STATUS", conflicts_with = "reset", value_parser = clap::value_parser!(u16).range(400..600))]
    pub(crate) error: Option<u16>,
    /// End the connection in the endpoint's place
    #[arg(long)]
    pub(crate) reset: bool,
    /// The share of tries that meet it
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = percent)]
    pub(crate) share: f64,
    /// Only tries at this endpoint: its address, or its instance's name
    #[arg(long, value_name = "ADDR|INSTANCE")]
    pub(crate) endpoint: Option<String>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) lasts: Duration,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
}

/// `200ms`, `30s`, `10m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("`{text}` is not a time: write 200ms, 30s, 10m, 2h or 1d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
    let count: u64 = text[..digits].parse().map_err(|_| malformed())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(malformed()),
    };
    count.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(malformed)
}

/// `30%`, `0.5%`.
fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    let share = number.filter(|share| *share > 0.0 && *share <= 100.0);
    share.ok_or_else(|| format!("`{text}` is not a share: write 30% or 0.5%"))
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "auto" => Ok(Level::Auto),
        "0" | "1" | "2" | "3" => Ok(Level::Set(text.as_bytes()[0] - b'0')),
        _ => Err("a degrade level is 0, 1, 2 or 3, or auto".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_shares_and_levels_are_read_with_their_units() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(percent("0.5%"), Ok(0.5));
        assert_eq!((level("2"), level("auto")), (Ok(Level::Set(2)), Ok(Level::Auto)));
        assert!(level("4").is_err());
        for bad in ["", "5", "m", "-5m", "1.5s", "5 m", "99999999999999999999d", "5minutes"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "30", "0%", "101%", "NaN%", "%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  forebay purge https://shop.example/page?n=1 /robots.txt\n  forebay purge '/assets/*'\n  \
                  forebay purge --key article-17 --soft\n  forebay purge --all"
)]
pub(crate) struct PurgeArgs {
    /// Addresses as clients ask for them, or paths at any host; a `*` at the end stands for whatever follows
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// A name that answers carry in Surrogate-Key or Cache-Tag; may be given often
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Everything
    #[arg(long)]
    pub(crate) all: bool,
    /// Make it stale instead: it stands in for an application that fails, where it allows that
    #[arg(long)]
    pub(crate) soft: bool,
}
