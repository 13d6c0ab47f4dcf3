//! What can be typed. The doc comments are the help text.

mod by_hand;
mod dead;
mod queue;
mod router;
mod upgrade;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stdx::ids::{AppName, EnvName, ProcessName, ReleaseNo};

pub(crate) use by_hand::{
    BreakerArgs, BreakerVerb, DegradeArgs, FaultArgs, FaultVerb, Level, MaintenanceArgs, MaintenanceVerb, PurgeArgs,
};
pub(crate) use dead::{DeadArgs, DeadFlags, ReplayArgs};
pub(crate) use queue::{
    ImportArgs, JobArgs, KickArgs, PauseArgs, PeekArgs, PutArgs, QueueServeArgs, QueueVerb, RepairArgs, RestoreArgs,
    ScopeFlags, ShowArgs, SnapshotArgs, TubeArgs, TubesOf, VerifyArgs,
};
pub(crate) use router::{AccessLogFormat, LiveArgs, RouterServeArgs, RouterVerb, WhyArgs};
pub(crate) use upgrade::UpgradeArgs;

/// Forebay deploys applications, routes requests to them, queues their work and keeps their logs.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Begin with:\n  forebay up examples/shop        start a node, deploy the example, follow its log\n  \
                        forebay ps                      what runs\n  forebay logs -f --app shop      its log"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The node's data folder, or FOREBAY_DATA [default: $XDG_STATE_HOME/forebay, as root /var/lib/forebay]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON: listings as one object, streams as one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do when another change of the application is under way.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct WaitFlag {
    /// Wait for a deploy, rollback or scale that is under way, instead of being refused
    #[arg(long)]
    pub(crate) wait: bool,
}

impl WaitFlag {
    /// The pair of a query string.
    pub(crate) fn pair(self) -> (&'static str, Option<String>) {
        ("wait", self.wait.then(|| "true".into()))
    }
}

/// Which application, in which environment.
#[derive(Clone, Debug, Args)]
pub(crate) struct EnvFlag {
    /// The environment
    #[arg(short, long, default_value = "production")]
    pub(crate) env: EnvName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a node here (unless one runs), deploy a folder to it and follow its log
    Up(UpArgs),
    /// Run a node
    Node(NodeArgs),
    /// Deploy a folder as a new release, blue/green
    Deploy(DeployArgs),
    /// Make a new release with the content, configuration and secrets of an earlier one
    Rollback(RollbackArgs),
    /// List the instances
    Ps(PsArgs),
    /// List the releases
    Releases(ReleasesArgs),
    /// Set how many instances of a process run; 0 stops it
    Scale(ScaleArgs),
    /// Search the log, or follow it
    Logs(LogsArgs),
    /// Show everything that belongs to one trace: request, tries, job, log lines
    Trace(TraceArgs),
    /// Explain one request: route, tries, hedges, waits, times, and what else decided
    Why(WhyArgs),
    /// The router's routes: rate, latency, errors, breaker, limit
    Routes(LiveArgs),
    /// The router's endpoints: state, rate, latency, failures
    Upstreams(LiveArgs),
    /// Put the binary that is there now in the place of the running one, and wait until it serves
    Upgrade(UpgradeArgs),
    /// The certificates of HTTPS: names, source, end, next attempt, last error
    #[command(after_help = "Example:\n  forebay certs --json")]
    Certs,
    /// The queue: look at tubes and jobs, put, kick, pause; or serve the queue alone
    #[command(subcommand, arg_required_else_help = true)]
    Queue(QueueVerb),
    /// The queue in beanstalkd's place, with beanstalkd's flags; also when called by that name
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Beanstalkd(BeanstalkdArgs),
    /// The router: serve it alone
    #[command(subcommand, arg_required_else_help = true)]
    Router(RouterVerb),
    /// Breakers of routes, by hand: trip, close, list, log
    #[command(subcommand, arg_required_else_help = true)]
    Breaker(BreakerVerb),
    /// Let an application's routes answer for themselves while it is being worked on: on, off, list
    #[command(subcommand, arg_required_else_help = true)]
    Maintenance(MaintenanceVerb),
    /// Set the degrade level of an application
    Degrade(DegradeArgs),
    /// Faults on demand: add, list, remove
    #[command(subcommand, arg_required_else_help = true)]
    Fault(FaultVerb),
    /// Purge answers from the caches of routes, by address or surrogate key
    Purge(PurgeArgs),
    /// Secrets of an application: set, list, remove
    #[command(subcommand, arg_required_else_help = true)]
    Secrets(SecretsVerb),
    /// Print the JSON Schema of a configuration file
    Schema(SchemaArgs),
    /// Print the completion script of a shell
    Completion(CompletionArgs),
}

/// Where a node listens; each is a list: `127.0.0.1:8080,[::1]:8080`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ListenFlags {
    /// Addresses for HTTP [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR,...")]
    pub(crate) http: Option<String>,
    /// Addresses for HTTPS, with the certificates of [router.tls] [default: none]
    #[arg(long, value_name = "ADDR,...")]
    pub(crate) https: Option<String>,
    /// Addresses for the queue [default: 127.0.0.1:11300]
    #[arg(long, value_name = "ADDR,...")]
    pub(crate) queue: Option<String>,
    /// Addresses for the admin API, behind its token [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR,...")]
    pub(crate) admin: Option<String>,
    /// The node's configuration file [default: /etc/forebay/node.toml as root, else in $XDG_CONFIG_HOME/forebay]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  forebay up examples/shop --http 127.0.0.1:0")]
pub(crate) struct UpArgs {
    /// The application's folder, with its forebay.toml or Procfile
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    /// Print a systemd unit for this node and exit
    #[arg(long)]
    pub(crate) print_unit: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 5 the release was rejected and the one before serves on; 7 a deploy is under way")]
pub(crate) struct DeployArgs {
    /// The application's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) env: EnvFlag,
    #[command(flatten)]
    pub(crate) wait: WaitFlag,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The application
    pub(crate) app: AppName,
    /// The release to go back to [default: the one that served before]
    #[arg(long, value_parser = release_no)]
    pub(crate) to: Option<ReleaseNo>,
    #[command(flatten)]
    pub(crate) env: EnvFlag,
    #[command(flatten)]
    pub(crate) wait: WaitFlag,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Only this application
    #[arg(short, long)]
    pub(crate) app: Option<AppName>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleasesArgs {
    /// Only this application
    pub(crate) app: Option<AppName>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  forebay scale shop web=4 worker=0")]
pub(crate) struct ScaleArgs {
    /// The application
    pub(crate) app: AppName,
    /// Process and number: web=4
    #[arg(required = true, value_name = "PROCESS=N", value_parser = process_count)]
    pub(crate) counts: Vec<(ProcessName, u16)>,
    #[command(flatten)]
    pub(crate) env: EnvFlag,
    #[command(flatten)]
    pub(crate) wait: WaitFlag,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Queries:\n  forebay logs --app shop 'timeout -retry'       words, and words that must be absent\n  \
                        forebay logs 'level:error status:500'          fields; level means that level or worse\n  \
                        forebay logs --since 5m '\"order done\"'         a phrase, of the last five minutes"
)]
pub(crate) struct LogsArgs {
    /// Follow: print what arrives
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this application
    #[arg(short, long)]
    pub(crate) app: Option<AppName>,
    /// Only this environment
    #[arg(short, long)]
    pub(crate) env: Option<EnvName>,
    /// Only this process
    #[arg(short, long)]
    pub(crate) process: Option<ProcessName>,
    /// Only records since then: 90s, 5m, 2h, 1d, or 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only the last N matches [default: all, 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Words, "phrases", key:value; a leading - negates
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The trace's id: the `Forebay-Trace` header of a reply
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct BeanstalkdArgs {
    /// -l -p -b -f -F -s -z -u -v -V -h, as beanstalkd takes them
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) flags: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsVerb {
    /// Set a secret; its value is read from stdin
    Set {
        /// The application
        app: AppName,
        /// The secret's name
        key: String,
        #[command(flatten)]
        env: EnvFlag,
    },
    /// List the names of an application's secrets
    Ls {
        /// The application
        app: AppName,
        #[command(flatten)]
        env: EnvFlag,
    },
    /// Remove a secret; releases that use it keep their version
    Rm {
        /// The application
        app: AppName,
        /// The secret's name
        key: String,
        #[command(flatten)]
        env: EnvFlag,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which file
    #[arg(value_enum, default_value_t = SchemaOf::Manifest)]
    pub(crate) file: SchemaOf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaOf {
    /// forebay.toml
    Manifest,
    /// node.toml
    Node,
    /// router.toml
    Router,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

fn process_count(text: &str) -> Result<(ProcessName, u16), String> {
    let (process, count) = text.split_once('=').ok_or("write PROCESS=N, such as web=4")?;
    let process = process.parse().map_err(|e: stdx::ids::NameError| e.to_string())?;
    Ok((process, count.parse().map_err(|_| format!("`{count}` is not a number of instances"))?))
}

fn release_no(text: &str) -> Result<ReleaseNo, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number.parse().map(ReleaseNo).map_err(|_| format!("`{text}` is not a release: write v3 or 3"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_change_can_wait_for_another() {
        for words in [&["deploy", "--wait"][..], &["rollback", "shop", "--wait"], &["scale", "shop", "web=1", "--wait"]]
        {
            let cli = Cli::try_parse_from([&["forebay"], words].concat()).unwrap();
            let (Verb::Deploy(DeployArgs { wait, .. })
            | Verb::Rollback(RollbackArgs { wait, .. })
            | Verb::Scale(ScaleArgs { wait, .. })) = cli.verb
            else {
                panic!("{words:?}")
            };
            assert_eq!(wait.pair(), ("wait", Some("true".into())));
        }
        assert_eq!(WaitFlag::default().pair(), ("wait", None));
    }

    #[test]
    fn a_scale_names_a_process_and_a_number() {
        let cli = Cli::try_parse_from(["forebay", "scale", "shop", "web=4", "worker=0"]).unwrap();
        let Verb::Scale(args) = cli.verb else { panic!("{cli:?}") };
        assert_eq!(args.counts.iter().map(|(p, n)| format!("{p}:{n}")).collect::<Vec<_>>(), ["web:4", "worker:0"]);
        for bad in ["web", "web=x", "Web=1", "web=-1"] {
            assert!(Cli::try_parse_from(["forebay", "scale", "shop", bad]).is_err(), "{bad}");
        }
    }
}
