//! Pebble, the authority that is made for tests (Debian's package `pebble`), with a name server that sends every name to this
//! machine. Where the package is not installed it is fetched into a folder below `target`; where that does not work the test
//! says so and is skipped.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Home, Stray, eventually};
use crate::tls::Authority;

/// A running authority; gone when it is dropped.
pub(crate) struct Pebble {
    process: Option<Stray>,
    _names: Stray,
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    management: u16,
    names_port: u16,
    variables: Vec<(&'static str, String)>,
}

/// How an authority is to be.
pub(crate) struct Manner {
    /// Where it looks at hosts: plain, and with TLS.
    pub(crate) looks_at: [u16; 2],
    /// The time of its certificates.
    pub(crate) validity_s: u64,
    /// Percent of good nonces that it refuses.
    pub(crate) nonces_refused: u32,
    /// Seconds at most before it looks.
    pub(crate) looks_after_s: u32,
    /// Whether it wants to know its customers.
    pub(crate) external: bool,
}

/// The name of a customer that it knows, and their key.
pub(crate) const CUSTOMER: [&str; 2] = ["kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"];

impl Pebble {
    /// Starts one; `None` where there is none to be had. Its own certificate is vouched for by `pebble-ca.pem` of `home`.
    pub(crate) fn start(home: &Home, manner: &Manner) -> Option<Pebble> {
        let binaries = binaries()?;
        let authority = Authority::new(home, "pebble");
        authority.issue(home, "pebble");
        let [port, management, names_port] = [free(), free(), free()];
        let keys = format!("{{ \"{}\": \"{}\" }}", CUSTOMER[0], CUSTOMER[1]);
        home.write(
            "pebble.json",
            &format!(
                "{{ \"pebble\": {{ \"listenAddress\": \"127.0.0.1:{port}\",
                \"managementListenAddress\": \"127.0.0.1:{management}\",
                \"certificate\": \"{}\", \"privateKey\": \"{}\", \"httpPort\": {}, \"tlsPort\": {},
                \"certificateValidityPeriod\": {}, \"ocspResponderURL\": \"\",
                \"externalAccountBindingRequired\": {}, \"externalAccountMACKeys\": {keys} }} }}",
                home.path("pebble.pem").display(),
                home.path("pebble.key").display(),
                manner.looks_at[0],
                manner.looks_at[1],
                manner.validity_s,
                manner.external,
            ),
        );
        let mut names = Command::new(binaries.join("pebble-challtestsrv"));
        names.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-dns01", &format!("127.0.0.1:{names_port}"), "-management", "127.0.0.1:0"]);
        let names = Stray(names.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let mut variables = vec![("PEBBLE_WFE_NONCEREJECT", manner.nonces_refused.to_string())];
        variables.push(match manner.looks_after_s {
            0 => ("PEBBLE_VA_NOSLEEP", "1".into()),
            some => ("PEBBLE_VA_SLEEPTIME", some.to_string()),
        });
        // Every order shows anew that the host is ours.
        variables.push(("PEBBLE_AUTHZREUSE", "0".into()));
        let folder = home.path("");
        let mut pebble =
            Pebble { process: None, _names: names, binaries, folder, port, management, names_port, variables };
        pebble.again();
        Some(pebble)
    }

    /// Starts it (again): it remembers nothing.
    pub(crate) fn again(&mut self) {
        let said = self.folder.join("pebble.log");
        let log = File::options().create(true).append(true).open(&said).unwrap();
        let mut command = Command::new(self.binaries.join("pebble"));
        command.arg("-config").arg(self.folder.join("pebble.json"));
        command.args(["-dnsserver", &format!("127.0.0.1:{}", self.names_port)]).envs(self.variables.iter().cloned());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(Stray(command.spawn().unwrap()));
        let addr = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("pebble listens", || std::net::TcpStream::connect(addr).ok());
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// What `[router.tls.acme]` says about it.
    pub(crate) fn config(&self) -> String {
        format!(
            "[router.tls.acme]\ndirectory = \"https://localhost:{}/dir\"\nca_file = \"{}\"\n\
             terms_agreed = true\ncontact = [\"ops@shop.example\"]\nretry_min_ms = 1000\nretry_max_ms = 2000\n",
            self.port,
            self.folder.join("pebble-ca.pem").display()
        )
    }

    /// The file of the certificate that vouches for those that it gives.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.folder.join("pebble-root.pem");
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--insecure", "--output"]).arg(&root);
        command.arg(format!("https://127.0.0.1:{}/roots/0", self.management));
        eventually("pebble tells its root", || command.status().ok()?.success().then_some(()));
        root
    }

    /// How often it says this.
    pub(crate) fn said(&self, what: &str) -> usize {
        fs::read_to_string(self.folder.join("pebble.log")).unwrap_or_default().matches(what).count()
    }
}

/// A port that nobody has, by TCP and UDP, and that no outgoing connection gets: below those that the system deals out.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free =
        |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    // Tests at the same time, each in a process of its own, begin apart.
    let mut ports = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Relaxed));
        u16::try_from(10_100 + number % 9_000).unwrap()
    });
    ports.by_ref().take(9_000).find(is_free).expect("a free port")
}

/// The folder of the programs.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_both = |folder: &PathBuf| folder.join("pebble").is_file() && folder.join("pebble-challtestsrv").is_file();
    if let Some(installed) = std::env::split_paths(&path).find(has_both) {
        return Some(installed);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pebble");
    let fetched = folder.join("usr/bin");
    fs::create_dir_all(&folder).unwrap();
    // Of tests at the same time one fetches.
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if has_both(&fetched) {
        return Some(fetched);
    }
    let run = |command: &mut Command| -> Result<(), String> {
        let out = command.current_dir(&folder).output().map_err(|error| error.to_string())?;
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    };
    let unpacked = run(Command::new("apt-get").args(["download", "pebble"]))
        .and_then(|()| run(Command::new("sh").args(["-c", "dpkg -x pebble_*.deb ."])));
    match unpacked {
        Ok(()) if has_both(&fetched) => Some(fetched),
        other => {
            eprintln!("skipped: Debian's package pebble cannot be had: {other:?}");
            None
        }
    }
}
