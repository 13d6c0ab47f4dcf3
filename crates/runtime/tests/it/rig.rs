//! A runtime folder, specs with sensible defaults, and a reader of events.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime::{Cgroups, Control, Event, Exit, Instance, Limits, Line, Output, Spec, Stream, Ticket};
use stdx::ids::{InstanceId, ReleaseNo};

/// Nothing here takes this long; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime folder that is also the application's.
pub(crate) struct Rig {
    pub(crate) folder: Arc<tempfile::TempDir>,
}

pub(crate) fn rig() -> Rig {
    Rig { folder: Arc::new(tempfile::Builder::new().prefix("fb-").tempdir_in("/tmp").unwrap()) }
}

/// The example `init`, which is built beside the tests.
pub(crate) fn init_exe() -> PathBuf {
    let exe = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/init");
    assert!(exe.exists(), "{} is missing: `cargo build -p runtime --example init`", exe.display());
    exe
}

impl Rig {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An instance of `command` with nothing asked for.
    pub(crate) fn spec(&self, command: &str) -> Spec {
        Spec {
            scope: "shop/production".parse().unwrap(),
            instance: InstanceId { process: "web".parse().unwrap(), serial: 17 },
            release: ReleaseNo(3),
            command: command.into(),
            folder: self.folder.path().into(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            secrets: vec![],
            secrets_folder: self.path("secrets"),
            uid: None,
            limits: Limits::default(),
            cgroups: Cgroups::Off,
            stdout_block_ms: 250,
            stop_timeout_ms: 10_000,
            socket: self.path("web.17.sock"),
        }
    }

    pub(crate) async fn run(&self, command: &str) -> Running {
        let mut running = start(self.spec(command)).await;
        running.folder = Some(self.folder.clone());
        running
    }
}

pub(crate) async fn start(spec: Spec) -> Running {
    Running::of(runtime::start(spec, &init_exe()).await.unwrap())
}

/// An instance whose output is collected. Dropping it kills what still runs.
pub(crate) struct Running {
    /// `None` when it has been let go.
    taken: Option<Instance>,
    pub(crate) outputs: Vec<Output>,
    exit: Option<Exit>,
    /// Of a rig that was made for this instance alone.
    folder: Option<Arc<tempfile::TempDir>>,
}

impl Running {
    pub(crate) fn of(instance: Instance) -> Running {
        Running { taken: Some(instance), outputs: vec![], exit: None, folder: None }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.instance().control
    }

    pub(crate) fn instance(&self) -> &Instance {
        self.taken.as_ref().expect("not let go")
    }

    pub(crate) fn ticket(&self) -> &Ticket {
        &self.instance().ticket
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        let events = &mut self.taken.as_mut().expect("not let go").events;
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("nothing happened")
    }

    /// Collects output until `enough`, acknowledging nothing.
    pub(crate) async fn until(&mut self, mut enough: impl FnMut(&Output) -> bool) {
        loop {
            match self.event().await {
                Some(Event::Output(outputs)) => {
                    let found = outputs.iter().any(&mut enough);
                    self.outputs.extend(outputs);
                    if found {
                        return;
                    }
                }
                other => panic!("{other:?} before the awaited line; so far {:?}", self.outputs),
            }
        }
    }

    /// Collects output until a line of this text.
    pub(crate) async fn until_line(&mut self, text: &str) {
        self.until(|output| matches!(output, Output::Line(line) if line.bytes == text.as_bytes())).await;
    }

    /// Collects and acknowledges everything up to the exit, which is not acknowledged.
    pub(crate) async fn until_exit(&mut self) -> Exit {
        loop {
            match self.event().await {
                Some(Event::Output(outputs)) => {
                    self.control().ack(outputs.last().unwrap().last_seq());
                    self.outputs.extend(outputs);
                }
                Some(Event::Exited(exit)) => {
                    self.exit = Some(exit.clone());
                    return exit;
                }
                other => panic!("{other:?} before the exit"),
            }
        }
    }

    /// Runs it to its end, acknowledges it and sees init go.
    pub(crate) async fn finish(mut self) -> (Vec<Output>, Exit) {
        let exit = match self.exit.clone() {
            Some(exit) => exit,
            None => self.until_exit().await,
        };
        self.control().ack(exit.seq);
        assert!(self.event().await.is_none(), "something after the end");
        gone(self.ticket()).await;
        self.taken = None;
        (std::mem::take(&mut self.outputs), exit)
    }

    /// Hangs up, as a node does that is killed, and leaves the instance running.
    pub(crate) async fn hang_up(mut self) -> Ticket {
        self.taken.take().expect("hung up once").hang_up().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(Instance { ticket, .. }) = &self.taken else { return };
        runtime::procs::signal(ticket.init_pid, ticket.init_start, rustix::process::Signal::KILL);
        for (pid, start) in ticket.processes() {
            runtime::procs::signal(pid, start, rustix::process::Signal::KILL);
        }
        let secrets = ticket.secrets_folder.as_ref().map_or(Ok(()), std::fs::remove_dir_all);
        if let Err(error) = secrets {
            eprintln!("{}: {error}", ticket.secrets_folder.as_ref().unwrap().display());
        }
    }
}

/// Waits for init to be gone.
pub(crate) async fn gone(ticket: &Ticket) {
    eventually("init is gone", || !ticket.init_lives()).await;
}

/// For what only the kernel knows and tells nobody: looks until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The lines among what was said; nothing may have been dropped.
pub(crate) fn lines(outputs: &[Output]) -> Vec<Line> {
    let line = |output: &Output| match output {
        Output::Line(line) => line.clone(),
        Output::Dropped(dropped) => panic!("{dropped:?}"),
    };
    outputs.iter().map(line).collect()
}

/// The text of the lines of one stream.
pub(crate) fn text(outputs: &[Output], stream: Stream) -> Vec<String> {
    let of_stream = lines(outputs).into_iter().filter(|line| line.stream == stream);
    of_stream.map(|line| String::from_utf8(line.bytes).unwrap()).collect()
}

/// Lines delivered and lines reported as dropped, after checking that their numbers have no gap.
pub(crate) fn account(outputs: &[Output]) -> (u64, u64) {
    let (mut next, mut delivered, mut dropped) = (1, 0, 0);
    for output in outputs {
        match output {
            Output::Line(line) => {
                assert_eq!(line.seq, next, "a gap that nobody reported");
                (next, delivered) = (next + 1, delivered + 1);
            }
            Output::Dropped(gap) => {
                assert_eq!(gap.seq, next, "a gap that nobody reported");
                assert!(gap.lines > 0, "an empty gap");
                (next, dropped) = (next + gap.lines, dropped + gap.lines);
            }
        }
    }
    (delivered, dropped)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
