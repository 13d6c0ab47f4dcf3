//! The queue in beanstalkd's place: its flags and its signals, so that scripts and test suites which start "their"
//! beanstalkd need not know.

mod flags;
mod memory;
mod user;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use control::error::{ApiError, Kind};
use queue::config::Config;
use queue::durability::{Durability, INTERVAL_MS_MAX};
use tracing::Level;

use self::flags::{Asked, Flags, Sync};
use self::memory::MemoryFolder;
use crate::node::alone;
use crate::output::{self, Done};

/// beanstalkd's exit code for a command line that makes no sense.
const USAGE_EXIT: i32 = 5;

/// The words behind the name, when the program was called `beanstalkd`, by a link or by whoever started it.
pub(crate) fn called_by_name() -> Option<Vec<String>> {
    let mut words = std::env::args_os();
    let is_named = words.next().is_some_and(|name| Path::new(&name).file_name() == Some("beanstalkd".as_ref()));
    is_named.then(|| words.map(lossy).collect())
}

fn lossy(word: OsString) -> String {
    word.to_string_lossy().into_owned()
}

/// Runs until a signal ends it. The process is the server: nothing is forked, so that its id is the one to signal.
pub(crate) async fn run(words: &[String]) -> Done {
    match flags::parse(words) {
        Ok(Asked::Version) => Ok(output::line(&format!("beanstalkd {}", queue::PROTOCOL_VERSION))?),
        Ok(Asked::Help) => Ok(write!(std::io::stderr(), "{}", flags::USAGE)?),
        Ok(Asked::Serve(flags)) => serve(*flags).await,
        Err(said) => {
            write!(std::io::stderr(), "beanstalkd: {said}\n{}", flags::USAGE)?;
            std::process::exit(USAGE_EXIT)
        }
    }
}

async fn serve(flags: Flags) -> Done {
    for note in &flags.notes {
        output::progress(&format!("beanstalkd: {note}"));
    }
    if let Some(user) = &flags.user {
        user::become_user(user)?;
    }
    let config = config_of(&flags)?;
    let level = match flags.verbosity {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    match &flags.folder {
        Some(folder) => {
            refuse_a_binlog(folder)?;
            alone::queue_in(config, folder.clone(), level).await
        }
        None => {
            let folder = MemoryFolder::make()?;
            alone::queue_in(config, folder.path().to_path_buf(), level).await
        }
    }
}

fn config_of(flags: &Flags) -> Result<Config, ApiError> {
    let mut config = Config::default();
    match flags.listen.as_deref() {
        Some(addr) if addr.starts_with("unix:") => config.unix_socket = Some(addr["unix:".len()..].into()),
        host => config.listen = vec![address(host.unwrap_or("127.0.0.1"), &flags.port)?],
    }
    if let Some(bytes) = flags.job_bytes_max {
        config.job_bytes_max = u32::try_from(bytes).unwrap_or(u32::MAX);
    }
    if let Some(bytes) = flags.segment_bytes {
        config.segment_bytes_max = bytes.clamp(8_192, u64::from(u32::MAX));
    }
    config.tube.durability = durability(flags);
    if flags.folder.is_none() {
        // There is no disk to keep free, and what beanstalkd would take is bounded by nothing else.
        config.disk_reserve_bytes = 0;
        config.volatile_bytes_max = config.bytes_max;
    }
    Ok(config)
}

/// What an answer waits for.
fn durability(flags: &Flags) -> Durability {
    match (&flags.folder, flags.sync) {
        (None, _) => Durability::Memory,
        (Some(_), Sync::Always) => Durability::Disk,
        (Some(_), Sync::Every { ms }) => {
            Durability::Interval { ms: u32::try_from(ms).unwrap_or(u32::MAX).clamp(1, INTERVAL_MS_MAX) }
        }
        (Some(_), Sync::Never) => Durability::Unsynced,
    }
}

/// beanstalkd takes an IPv6 address without brackets.
fn address(host: &str, port: &str) -> Result<net::listen::ListenAddr, ApiError> {
    let text = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    text.parse().map_err(|error: net::listen::ListenError| {
        ApiError::new(Kind::Usage, error.code(), error.to_string()).hint("-l takes a host or unix:PATH, -p a port")
    })
}

/// A folder that beanstalkd itself has written is not started on as if it were empty.
fn refuse_a_binlog(folder: &Path) -> Result<(), ApiError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect::<Vec<_>>();
    names.sort_unstable();
    let is_ours = names.iter().any(|name| name == "FORMAT");
    let binlog = names.iter().find(|name| name.strip_prefix("binlog.").is_some_and(|n| n.parse::<u32>().is_ok()));
    match binlog {
        Some(name) if !is_ours => Err(ApiError::new(
            Kind::Conflict,
            "folder_of_beanstalkd",
            format!("the folder holds jobs that beanstalkd wrote ({name}) and that would not be served"),
        )
        .at(folder.display().to_string())
        .hint("let its workers finish with beanstalkd, or name another folder with -b")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Config {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Ok(Asked::Serve(flags)) = flags::parse(&words) else { panic!("{line}") };
        config_of(&flags).unwrap()
    }

    #[test]
    fn flags_become_settings() {
        let plain = config("-p 11311 -z 100 -s 1");
        assert_eq!(plain.listen[0].to_string(), "127.0.0.1:11311");
        assert_eq!((plain.job_bytes_max, plain.segment_bytes_max, plain.disk_reserve_bytes), (100, 8192, 0));
        assert_eq!(config("-l ::1").listen[0].to_string(), "[::1]:11300");
        let unix = config("-l unix:/run/b.sock -b /x");
        assert_eq!((unix.listen.len(), unix.unix_socket), (0, Some("/run/b.sock".into())));
        assert!(unix.disk_reserve_bytes > 0);
    }

    #[test]
    fn the_flags_of_syncing_become_what_an_answer_waits_for() {
        for (line, durability) in [
            ("", Durability::Memory),
            ("-f 10", Durability::Memory),
            ("-b /x", Durability::Disk),
            ("-b /x -f0", Durability::Disk),
            ("-b /x -f 50", Durability::Interval { ms: 50 }),
            ("-b /x -f 9999999999", Durability::Interval { ms: INTERVAL_MS_MAX }),
            ("-b /x -F", Durability::Unsynced),
        ] {
            assert_eq!(config(line).tube.durability, durability, "{line}");
        }
    }

    #[test]
    fn a_folder_with_a_binlog_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        refuse_a_binlog(&folder.path().join("not-there-yet")).unwrap();
        refuse_a_binlog(folder.path()).unwrap();
        std::fs::write(folder.path().join("binlog.3"), "").unwrap();
        let error = refuse_a_binlog(folder.path()).unwrap_err();
        assert_eq!(error.code, "folder_of_beanstalkd");
        assert!(error.message.contains("binlog.3"), "{error}");
        std::fs::write(folder.path().join("FORMAT"), "forebay queue 1\n").unwrap();
        refuse_a_binlog(folder.path()).unwrap();
    }
}
