//! What Forebay says of itself: to stderr and a bounded `DATA/node.log` first, then into the log plane, except for what
//! the log plane says of its own failures.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use stdx::clock::{Clock, SystemClock, Wall};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Bytes of node.log; then it is renamed to node.log.1, over the one before.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Crates whose own troubles must not go through the log plane.
const NOT_INTO_LOGS: [&str; 2] = ["logs", "wal"];

/// One thing that Forebay said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) time: Wall,
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// Where what was said goes on to, once the log plane is there. Never blocks.
pub(crate) type Onward = Arc<dyn Fn(Said) + Send + Sync>;

/// The node's own log; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct SelfLog {
    inner: Arc<Inner>,
    /// What is less important is not said; `info` when nobody sets it.
    least: Option<Level>,
}

#[derive(Default)]
struct Inner {
    file: Mutex<Option<LogFile>>,
    onward: OnceLock<Onward>,
}

struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl SelfLog {
    /// Starts to listen to `tracing`, at `info` and worse for Forebay's own crates.
    pub(crate) fn install(path: &Path) -> io::Result<SelfLog> {
        let log = SelfLog::default();
        *log.inner.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(LogFile::open(path)?);
        log.listen()?;
        Ok(log)
    }

    /// Says on stderr alone what is `least` or worse: a plane on its own.
    pub(crate) fn to_stderr(least: Level) -> io::Result<()> {
        SelfLog { least: Some(least), ..SelfLog::default() }.listen()
    }

    fn listen(&self) -> io::Result<()> {
        let subscriber = tracing_subscriber::registry().with(self.clone());
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            return Err(io::Error::other("a log of this process is installed already"));
        }
        Ok(())
    }

    /// From now on what is said goes into the log plane too.
    pub(crate) fn send_on(&self, onward: Onward) {
        if self.inner.onward.set(onward).is_err() {
            tracing::warn!("the node's log already goes into a log plane");
        }
    }
}

impl<S: Subscriber> Layer<S> for SelfLog {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.least.unwrap_or(Level::INFO)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let time = SystemClock::new().wall();
        let mut said = Said { time, level: *event.metadata().level(), message: String::new(), fields: Vec::new() };
        event.record(&mut said);
        let line = line(&said);
        // stderr may be closed, and the file system full: then there is no better place left to say so.
        let to_stderr = io::stderr().write_all(line.as_bytes());
        let mut file = self.inner.file.lock().unwrap_or_else(PoisonError::into_inner);
        let to_file = file.as_mut().map_or(Ok(()), |file| file.append(&line));
        drop(file);
        drop((to_stderr, to_file));
        let target = event.metadata().target().split("::").next().unwrap_or_default();
        if let Some(onward) = self.inner.onward.get()
            && !NOT_INTO_LOGS.contains(&target)
        {
            onward(said);
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            self.fields.push((field.name(), value.into()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn line(said: &Said) -> String {
    let mut line = format!("{} {:<5} {}", crate::output::local_time(said.time.0), said.level, said.message);
    for (key, value) in &said.fields {
        if write!(line, " {key}={value}").is_err() {
            break;
        }
    }
    line.push('\n');
    line
}

impl LogFile {
    fn open(path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let len = file.metadata()?.len();
        Ok(LogFile { path: path.to_path_buf(), file, len })
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.len > FILE_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = LogFile::open(&self.path)?;
        }
        self.file.write_all(line.as_bytes())?;
        self.len += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_bounded_by_one_turn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.log");
        let mut log = LogFile::open(&path).unwrap();
        log.append("first\n").unwrap();
        log.len = FILE_BYTES_MAX + 1;
        log.append("second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
        assert_eq!(fs::read_to_string(dir.path().join("node.log.1")).unwrap(), "first\n");
    }
}
