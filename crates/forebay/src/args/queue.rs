//! What can be typed behind `forebay queue`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use net::listen::ListenAddr;
use stdx::ids::{AppName, EnvName};

use super::dead::{DeadArgs, ReplayArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// List the tubes with their figures
    #[command(after_help = "Examples:\n  forebay queue ls --app shop\n  forebay queue ls --json | jq '.items[] | \
                            select(.burden.drain_ms == null)'    tubes that grow")]
    Ls(TubesOf),
    /// Show one tube, or without a name the queue as a whole
    #[command(after_help = "Examples:\n  forebay queue show                     syncs, acknowledgements, sizes\n  \
                            forebay queue show orders --app shop   one tube and its next jobs")]
    Show(ShowArgs),
    /// Follow the tubes, once a second
    Watch(TubesOf),
    /// Show a job with its body, or the next one of a tube
    #[command(after_help = "Examples:\n  forebay queue peek 17\n  forebay queue peek --tube orders --state buried")]
    Peek(PeekArgs),
    /// Put a job; its body is the argument, or stdin
    #[command(after_help = "Examples:\n  forebay queue put orders '{\"id\": 7}' --delay 1h\n  \
                            forebay queue put --app shop mail < letter.json")]
    Put(PutArgs),
    /// Make buried jobs of a tube ready, delayed ones when none is buried; or one job
    #[command(after_help = "Examples:\n  forebay queue kick orders 100\n  forebay queue kick --job 17")]
    Kick(KickArgs),
    /// Put a job aside that is ready or delayed
    Bury(JobArgs),
    /// Delete a job that nobody holds
    Delete(JobArgs),
    /// Let nobody have a job of a tube for a while; jobs still come in
    #[command(after_help = "Example:\n  forebay queue pause orders --app shop --for 15m --why 'the shop moves'")]
    Pause(PauseArgs),
    /// List the jobs that had all their attempts, or show one with its history
    #[command(after_help = "Examples:\n  forebay queue dead --app shop --from orders --since 2h\n  \
                            forebay queue dead 17            one job, attempt by attempt\n  \
                            forebay queue dead --reason 'no route' --json")]
    Dead(DeadArgs),
    /// Bring dead jobs back, with all their attempts before them: one, those that are found, or all
    #[command(after_help = "Examples:\n  forebay queue replay --app shop --from orders --reason timeout --preview\n  \
                            forebay queue replay 17\n  forebay queue replay --all --into orders-slow")]
    Replay(ReplayArgs),
    /// End a pause
    Resume(TubeArgs),
    /// Copy the queue, as it is now, into a folder; it serves on
    #[command(
        after_help = "Example:\n  forebay queue snapshot /backup/queue-monday && forebay queue verify /backup/queue-monday"
    )]
    Snapshot(SnapshotArgs),
    /// Read every record of a queue's folder or of a copy, and say what is there and what is damaged
    Verify(VerifyArgs),
    /// Take the damage out of a queue's folder that nobody uses: what is readable is written again, damaged files are kept
    #[command(
        after_help = "Examples:\n  forebay queue repair --dry-run          what is damaged, and what would be lost\n  \
                      forebay queue repair --json > report    stop the queue first"
    )]
    Repair(RepairArgs),
    /// Make the queue of --data, which must be empty, from a copy
    #[command(after_help = "Example:\n  forebay queue restore /backup/queue-monday --data /var/lib/forebay")]
    Restore(RestoreArgs),
    /// Put the jobs of a beanstalkd binlog folder (its -b) into the tubes of the same names
    #[command(after_help = "Example:\n  forebay queue import /var/lib/beanstalkd --app shop    stop beanstalkd first")]
    Import(ImportArgs),
    /// Serve the queue alone
    #[command(
        after_help = "Example:\n  forebay queue serve --data /var/lib/queue --listen 127.0.0.1:11300 --http 127.0.0.1:11400\n  \
                      forebay queue serve --tls 0.0.0.0:11301 --cert site.pem --key site.key --tokens tokens"
    )]
    Serve(QueueServeArgs),
}

/// Whose tubes: an application's, or without one the shared ones.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ScopeFlags {
    /// The application whose tube it is [default: the shared tubes]
    #[arg(short, long)]
    pub(crate) app: Option<AppName>,
    /// Its environment [default: production]
    #[arg(short, long, requires = "app")]
    pub(crate) env: Option<EnvName>,
}

impl ScopeFlags {
    /// The pairs of a query string, and more behind them.
    pub(crate) fn pairs<const N: usize>(&self, more: [(&'static str, Option<String>); N]) -> String {
        let mut pairs = vec![
            ("app", self.app.as_ref().map(ToString::to_string)),
            ("env", self.env.as_ref().map(ToString::to_string)),
        ];
        pairs.extend(more);
        crate::verbs::query(&pairs)
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TubesOf {
    /// Only this application's
    #[arg(short, long)]
    pub(crate) app: Option<AppName>,
    /// Only this environment's [default: production]
    #[arg(short, long, requires = "app")]
    pub(crate) env: Option<EnvName>,
}

#[derive(Debug, Args)]
pub(crate) struct TubeArgs {
    /// The tube
    pub(crate) tube: String,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The tube
    pub(crate) tube: Option<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
    /// Only jobs in this state: ready, delayed, reserved, buried
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// How many jobs to list
    #[arg(short, value_name = "N", default_value_t = 10)]
    pub(crate) n: usize,
}

#[derive(Debug, Args)]
pub(crate) struct PeekArgs {
    /// The job
    #[arg(required_unless_present = "tube", conflicts_with = "tube")]
    pub(crate) job: Option<u64>,
    /// The next job of this tube
    #[arg(long)]
    pub(crate) tube: Option<String>,
    /// In this state: ready, delayed, reserved, buried
    #[arg(long, value_name = "STATE", requires = "tube", default_value = "ready")]
    pub(crate) state: String,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The tube
    pub(crate) tube: String,
    /// The body [default: what comes on stdin]
    pub(crate) body: Option<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
    /// 0 is the most urgent [default: 65536]
    #[arg(long)]
    pub(crate) pri: Option<u32>,
    /// When it becomes ready: 90s, 5m, 2h, 30d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) delay: Option<u32>,
    /// How long a worker may take: 90s, 5m, 2h [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttr: Option<u32>,
    /// Put with this key again within 5 minutes, it is the same job
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Put with this key again before it is done, it is the same job
    #[arg(long, value_name = "KEY")]
    pub(crate) unique: Option<String>,
    /// Jobs with the same key are worked one after the other
    #[arg(long, value_name = "KEY")]
    pub(crate) order: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// The tube
    #[arg(required_unless_present = "job", conflicts_with = "job")]
    pub(crate) tube: Option<String>,
    /// How many jobs
    #[arg(default_value_t = 1)]
    pub(crate) jobs: u32,
    /// This job alone
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<u64>,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The job
    pub(crate) job: u64,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The tube
    pub(crate) tube: String,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
    /// How long: 90s, 5m, 2h, 30d
    #[arg(long = "for", value_name = "TIME", value_parser = seconds, default_value = "1h")]
    pub(crate) duration: u32,
    /// Why, for whoever looks: shown with the pause
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// The folder of the copy: absent or empty
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The folder [default: that of the node or queue of --data]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The folder [default: that of the node or queue of --data]
    pub(crate) folder: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The copy
    pub(crate) from: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder with binlog.N
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) scope: ScopeFlags,
    /// Only say what is there
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueueServeArgs {
    /// Addresses for the beanstalkd protocol [default: 127.0.0.1:11300]
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) listen: Vec<ListenAddr>,
    /// Addresses for the HTTP API [default: none]
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) http: Vec<ListenAddr>,
    /// Addresses for the beanstalkd protocol with TLS [default: none]
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',')]
    pub(crate) tls: Vec<ListenAddr>,
    /// The certificate to serve with, and those that vouch for it, in PEM form
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, in PEM form
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Who may use it, APP TOKEN in each line; clients begin with `auth TOKEN`, and must where other machines reach it
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// A node.toml whose [queue] counts: limits, deliveries by HTTP, periodic jobs
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `90s`, `5m`, `2h`, `30d` as seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no time: write 90s, 5m, 2h or 30d");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit: u32 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Verb};

    fn parse(words: &[&str]) -> Result<QueueVerb, clap::Error> {
        let cli = Cli::try_parse_from([&["forebay", "queue"], words].concat())?;
        let Verb::Queue(verb) = cli.verb else { panic!("{words:?}") };
        Ok(verb)
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(["90s", "5m", "2h", "30d"].map(|text| seconds(text).unwrap()), [90, 300, 7_200, 2_592_000]);
        for bad in ["", "5", "m", "-5m", "5w", "99999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_job_is_peeked_by_number_or_as_the_next_of_a_tube() {
        assert!(matches!(parse(&["peek", "17"]), Ok(QueueVerb::Peek(PeekArgs { job: Some(17), .. }))));
        assert!(parse(&["peek", "--tube", "mail", "--state", "buried"]).is_ok());
        assert!(parse(&["peek"]).is_err());
        assert!(parse(&["peek", "17", "--tube", "mail"]).is_err());
    }

    #[test]
    fn an_environment_is_one_of_an_application() {
        assert!(parse(&["pause", "mail", "--env", "staging"]).is_err());
        let Ok(QueueVerb::Pause(args)) = parse(&["pause", "mail", "-a", "shop", "-e", "staging"]) else { panic!() };
        assert_eq!(args.scope.pairs([("n", Some("1".into()))]), "?app=shop&env=staging&n=1");
        assert_eq!(args.duration, 3_600);
    }
}
