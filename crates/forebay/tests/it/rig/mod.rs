//! A node in a folder of its own, on free ports, with the command line that speaks to it; all gone when it is dropped.

pub(crate) mod alone;
mod command;
mod http;
mod instances;
pub(crate) mod pebble;
pub(crate) mod queue;
pub(crate) mod steady;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use benchsuite::processes;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use command::Ran;
pub(crate) use http::{Reply, raw, send};
pub(crate) use instances::Instance;

/// The binary.
const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");
/// How long a test waits for something that has no clock to turn: other processes, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// These tests measure: one node at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The example of this name.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// Waits until `look` finds something.
///
/// # Panics
/// When that takes more than a minute.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder for a node, and for what tests put beside it. The binary is linked into it, so that its processes can be told
/// from those of other nodes.
pub(crate) struct Home {
    folder: TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home::make(Some(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A second one in the same test.
    pub(crate) fn beside(_first: &Home) -> Home {
        Home::make(None)
    }

    fn make(turn: Option<MutexGuard<'static, ()>>) -> Home {
        let folder = tempfile::Builder::new().prefix("forebay-it-").tempdir().unwrap();
        // As root every application has a uid of its own, which must get through to its release.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let home = Home { folder, _turn: turn };
        let binary = home.path("forebay");
        // A link where temporary files are on the disk that is built on, else a copy.
        fs::hard_link(FOREBAY, &binary).or_else(|_| fs::copy(FOREBAY, &binary).map(drop)).unwrap();
        home.write(
            "node.toml",
            &format!(
                "schema = 1\nkey_file = \"{}\"\n[deploy]\nhealthy_timeout_ms = 10000\n",
                home.path("key").display()
            ),
        );
        home
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file, with its folders, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a verb to its end.
    pub(crate) fn forebay<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Ran {
        command::run(self.command().args(args))
    }

    /// The binary, told where its data is.
    pub(crate) fn command(&self) -> Command {
        command::forebay(&self.path("forebay"), &self.data())
    }

    /// Starts a verb that runs until it is stopped, on these addresses.
    pub(crate) fn spawn(&self, verb: &[&str], on: &Addresses) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("stderr")).unwrap();
        let mut command = self.command();
        command.args(verb).arg("--config").arg(self.path("node.toml"));
        command.args(["--http", &on.http, "--queue", &on.queue, "--admin", &on.admin]);
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// What nodes here have said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        processes::kill(&processes::running(&self.path("forebay")));
        processes::kill(&processes::working_below(&self.data()));
        if let Ok(runtime) = fs::read_to_string(self.data().join("runtime")) {
            // A folder in memory that no test looks at again; when it is not there, all the better.
            fs::remove_dir_all(runtime.trim()).unwrap_or_default();
        }
        if std::thread::panicking() {
            eprintln!("what the node said:\n{}", self.said());
        }
    }
}

/// Where a node listens.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    pub(crate) queue: String,
    pub(crate) admin: String,
}

impl Addresses {
    /// Ports that are free.
    pub(crate) fn any() -> Addresses {
        let any = || "127.0.0.1:0".to_string();
        Addresses { http: any(), queue: any(), admin: any() }
    }

    fn read(ports_json: &Path) -> Option<Addresses> {
        let ports: Value = serde_json::from_str(&fs::read_to_string(ports_json).ok()?).ok()?;
        let text = |key: &str| ports[key].as_str().map(String::from);
        Some(Addresses { http: text("http")?, queue: text("queue")?, admin: text("admin")? })
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) at: Addresses,
    child: Child,
    /// Dropped after the node has been killed: a living one would start its instances again.
    pub(crate) home: Home,
}

impl Node {
    /// A fresh node.
    pub(crate) fn start() -> Node {
        Node::start_in(Home::new(), &["node"])
    }

    /// A fresh node that serves the example.
    pub(crate) fn with_shop() -> Node {
        let node = Node::start();
        node.deploy("shop");
        node
    }

    /// `forebay VERB ...` in a folder, ready.
    pub(crate) fn start_in(home: Home, verb: &[&str]) -> Node {
        let (at, child) = start(&home, verb, &Addresses::any());
        Node { at, child, home }
    }

    /// `kill -9` of the node alone; its instances run on.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the node again in the same folder, on the same addresses.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&["node"]);
    }

    /// The same with another verb.
    pub(crate) fn start_again_with(&mut self, verb: &[&str]) {
        (self.at, self.child) = start(&self.home, verb, &Addresses::any());
    }

    /// Sends a signal to the node and waits for its end.
    pub(crate) fn stop(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        self.signal(signal);
        eventually("the node ends", || self.child.try_wait().unwrap()).code()
    }

    /// The node's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the node.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.at.http.parse().unwrap()
    }

    pub(crate) fn queue(&self) -> SocketAddr {
        self.at.queue.parse().unwrap()
    }

    /// Deploys an example and returns the release's number.
    pub(crate) fn deploy(&self, name: &str) -> u64 {
        let ran = self.home.forebay(&["deploy".as_ref(), "--json".as_ref(), example(name).as_os_str()]);
        ran.release()
    }

    /// The rows of a verb that lists.
    pub(crate) fn items(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.home.forebay(&[args, &["--json"]].concat());
        let listing: Value = serde_json::from_str(&ran.ok().stdout).unwrap();
        assert_eq!(listing["schema"], 1);
        listing["items"].as_array().unwrap().clone()
    }

    /// The rows of a trace; none while the logs know nothing of it yet.
    pub(crate) fn trace(&self, id: &str) -> Vec<Value> {
        let known = self.home.forebay(&["trace", id]).code != Some(3);
        if known { self.items(&["trace", id]) } else { Vec::new() }
    }

    /// The objects of a verb that streams.
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.home.forebay(&[args, &["--json"]].concat());
        ran.ok().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        http::send(self.http(), &format!("GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")).unwrap()
    }

    /// Posts an order; see [`order`].
    pub(crate) fn order(&self, item: &str) -> Option<Reply> {
        order(self.http(), item)
    }

    /// The instances of a process of the shop that `ps` lists.
    pub(crate) fn instances(&self, process: &str) -> Vec<Instance> {
        instances::read(&self.items(&["ps"]), process)
    }

    /// Waits until a release serves and that many instances of a process are healthy or, without a check, run.
    pub(crate) fn ready(&self, process: &str, count: usize) -> Vec<Instance> {
        eventually(&format!("{count} x {process}"), || {
            self.items(&["releases"]).iter().find(|release| release["state"] == "serving")?;
            let ready: Vec<Instance> = self.instances(process).into_iter().filter(Instance::is_ready).collect();
            (ready.len() == count).then_some(ready)
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; whatever it leaves behind, `Home` finds.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Posts an order; `None` when it was not taken, or was not even answered.
pub(crate) fn order(addr: SocketAddr, item: &str) -> Option<Reply> {
    let body = format!("{{\"item\": \"{item}\"}}");
    let length = body.len();
    let head = format!("POST /orders HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    send(addr, &(head + &body)).ok().filter(|reply| reply.status == 202)
}

fn start(home: &Home, verb: &[&str], on: &Addresses) -> (Addresses, Child) {
    let mut child = home.spawn(verb, on);
    let ports_json = home.data().join("ports.json");
    let at = eventually("the node is ready", || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the node ended with {status}:\n{}", home.said());
        }
        // A node that was killed has left its file; this one removes it before it writes its own.
        Addresses::read(&ports_json).filter(|_| answers_for(home, &child))
    });
    (at, child)
}

/// Whether the node that answers in this folder is the one that was started.
fn answers_for(home: &Home, child: &Child) -> bool {
    let lock = fs::read_to_string(home.data().join("queue/LOCK")).unwrap_or_default();
    lock.starts_with(&format!("pid {} ", child.id())) && home.forebay(&["ps", "--json"]).code == Some(0)
}

/// A child that must not outlive its test.
pub(crate) struct Stray(pub(crate) Child);

impl Drop for Stray {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}
