//! A server to talk to, ours or Debian's beanstalkd, and a client that says lines and hears lines.

mod http;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use queue::config::Config;
use queue::{Deps, Handle, JobSink, NoSink, NoTokens, StartError, TokenSource};
use stdx::clock::SystemClock;
use tempfile::TempDir;

pub(crate) use http::{Http, hear};

/// How long an answer may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server under test.
pub(crate) enum Server {
    Forebay(Forebay),
    Beanstalkd(Beanstalkd),
}

/// Ours, in this process.
pub(crate) struct Forebay {
    pub(crate) handle: Handle,
    pub(crate) folder: TempDir,
}

/// Debian's.
pub(crate) struct Beanstalkd {
    child: Child,
    addr: SocketAddr,
}

/// The configuration of a test: one free port on loopback.
pub(crate) fn config() -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], disk_reserve_bytes: 0, ..Config::default() }
}

/// What a plane without applications gets.
pub(crate) fn deps() -> Deps {
    deps_with(Arc::new(NoTokens), Arc::new(NoSink))
}

pub(crate) fn deps_with(tokens: Arc<dyn TokenSource>, sink: Arc<dyn JobSink>) -> Deps {
    Deps { clock: SystemClock::shared(), tokens, sink, sockets: Default::default() }
}

impl Forebay {
    pub(crate) fn start() -> Forebay {
        Forebay::start_with(config())
    }

    pub(crate) fn start_with(config: Config) -> Forebay {
        let folder = tempfile::tempdir().unwrap();
        let handle = start_in(folder.path(), config).unwrap();
        Forebay { handle, folder }
    }

    /// On a folder in memory, where there is one: for tests that say much and crash nothing.
    pub(crate) fn in_memory() -> Forebay {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let handle = start_in(folder.path(), config()).unwrap();
        Forebay { handle, folder }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.handle.bound()[0]
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    /// Stops it and starts it again on the same folder.
    pub(crate) fn restart(self) -> Forebay {
        self.restart_with(config())
    }

    pub(crate) fn restart_with(self, config: Config) -> Forebay {
        block_on(self.handle.stop());
        let handle = start_in(self.folder.path(), config).unwrap();
        Forebay { handle, folder: self.folder }
    }
}

pub(crate) fn start_in(folder: &Path, config: Config) -> Result<Handle, StartError> {
    queue::start(config, folder.join("queue"), deps())
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Beanstalkd {
    /// Starts Debian's beanstalkd where it is installed. It gets its socket from us, as from systemd: a port that it had to
    /// bind itself could be another test's by then, and that test's server would be taken for it.
    pub(crate) fn start() -> Option<Beanstalkd> {
        static IS_INSTALLED: LazyLock<bool> =
            LazyLock::new(|| Command::new("beanstalkd").arg("-v").stdout(Stdio::null()).status().is_ok());
        let socket = IS_INSTALLED.then(|| TcpListener::bind("127.0.0.1:0").unwrap())?;
        let addr = socket.local_addr().unwrap();
        // What it accepts is as its own listener would make it. Only streams have a word for that.
        let socket = TcpStream::from(OwnedFd::from(socket));
        socket.set_nodelay(true).unwrap();
        let child = Command::new("sh")
            .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec beanstalkd 3<&0 0</dev/null"])
            .stdin(OwnedFd::from(socket))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Beanstalkd { child, addr })
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr)
    }
}

impl Drop for Beanstalkd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    pub(crate) fn connect(&self) -> Client {
        match self {
            Server::Forebay(ours) => ours.connect(),
            Server::Beanstalkd(theirs) => theirs.connect(),
        }
    }
}

/// A client.
pub(crate) struct Client {
    input: BufReader<TcpStream>,
    has_spoken: bool,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { input: BufReader::new(stream), has_spoken: false }
    }

    /// Whether nothing was sent yet.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.has_spoken
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.has_spoken = true;
        self.input.get_mut().write_all(bytes).unwrap();
    }

    /// Sends bytes, and is content when the server has closed the connection.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.input.get_mut().write_all(bytes).is_ok()
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }

    /// Sends a line and hears one.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Puts a job and returns its id.
    pub(crate) fn put(&mut self, args: &str, body: &str) -> u64 {
        let answer = self.ask(&format!("put {args} {}\r\n{body}", body.len()));
        answer.strip_prefix("INSERTED ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
    }

    /// How long an answer may take from now on.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.input.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    /// Hears a line if one comes in time. Only for one-line answers.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        self.input.fill_buf().is_ok().then(|| self.hear())
    }

    /// Hears a line.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(&line).to_owned()
    }

    /// Sends a line and hears an answer that may have a body, as one text.
    pub(crate) fn ask_all(&mut self, line: &str) -> String {
        self.say(line);
        self.hear_all()
    }

    pub(crate) fn hear_all(&mut self) -> String {
        let head = self.hear();
        let words: Vec<&str> = head.split(' ').collect();
        let bytes = match words[..] {
            ["OK", bytes] | ["RESERVED" | "FOUND", _, bytes] => bytes.parse::<usize>().unwrap(),
            _ => return head,
        };
        let mut body = vec![0; bytes + 2];
        self.input.read_exact(&mut body).unwrap();
        assert!(body.ends_with(b"\r\n"), "{head}");
        body.truncate(bytes);
        format!("{head}\n{}", String::from_utf8_lossy(&body))
    }

    /// One field of a stats command.
    pub(crate) fn stat(&mut self, command: &str, field: &str) -> String {
        let all = self.ask_all(command);
        let value = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no {field} in {all}")).to_owned()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        self.input.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// Hears everything up to the end.
    pub(crate) fn hear_to_the_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that was reset has ended too.
        if let Err(e) = self.input.read_to_end(&mut rest) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
        rest
    }
}
