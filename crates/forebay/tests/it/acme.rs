//! Certificates from an authority: Debian's `pebble`, which really looks at the hosts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::alone::{Alone, endpoint};
use crate::rig::pebble::{CUSTOMER, Manner, Pebble, free};
use crate::rig::{Home, eventually};
use crate::tls::Authority;

/// An authority, and a router that asks it.
struct Rig {
    alone: Alone,
    pebble: Pebble,
    https: u16,
}

impl Rig {
    /// `None` where there is no pebble. `tls` and `acme` are further lines of `[router.tls]` and `[router.tls.acme]`.
    fn new(manner: Manner, tls: &str, acme: &str) -> Option<Rig> {
        let home = Home::new();
        let [http, https] = [free(), free()];
        let pebble = Pebble::start(&home, &Manner { looks_at: [http, https], ..manner })?;
        Authority::new(&home, "client").issue(&home, "client");
        home.write(
            "router.toml",
            &format!(
                "schema = 1\n[router]\nlisten = [\"127.0.0.1:{http}\"]\nworkers = 2\n\
                 [router.tls]\nlisten = [\"127.0.0.1:{https}\"]\n{tls}{}{acme}\
                 [upstreams.shop]\nendpoints = [\"{}\"]\n\
                 [[routes]]\nhost = \"shop.example\"\nupstream = \"shop\"\nhttps = {{}}\n",
                pebble.config(),
                endpoint("hello")
            ),
        );
        let data = home.data();
        let alone = Alone::serve(home, &["--data", data.to_str().unwrap()]);
        Some(Rig { alone, pebble, https })
    }

    /// What curl gets of `https://HOST/`, by the authority's root; it shows a certificate of its own.
    fn get(&self, host: &str, root: &Path) -> Result<String, String> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(root);
        let home = &self.alone.home;
        command.arg("--cert").arg(home.path("client.pem")).arg("--key").arg(home.path("client.key"));
        command.args(["--resolve", &format!("{host}:{}:127.0.0.1", self.https)]);
        let out = command.arg(format!("https://{host}:{}/", self.https)).output().unwrap();
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    }

    /// A file of the authority's folder.
    fn kept(&self, name: &str) -> Option<String> {
        let mut folder = std::fs::read_dir(self.alone.home.data().join("router/acme")).ok()?;
        std::fs::read_to_string(folder.next()?.unwrap().path().join(name)).ok()
    }

    /// The certificate of a host.
    fn certificate(&self, host: &str) -> Option<String> {
        self.kept(&format!("hosts/{host}/certificate.pem"))
    }

    /// The order of a host that is under way.
    fn open_order(&self, host: &str) -> Option<String> {
        self.kept(&format!("hosts/{host}/order.json"))
    }

    fn again(mut self) -> Rig {
        let data = self.alone.home.data();
        self.alone = self.alone.again(&["--data", data.to_str().unwrap()]);
        self
    }
}

fn manner() -> Manner {
    Manner { looks_at: [0; 2], validity_s: 86_400, nonces_refused: 15, looks_after_s: 0, external: false }
}

#[test]
fn http_01_gives_each_host_a_certificate_and_a_restart_asks_for_nothing() {
    let Some(rig) = Rig::new(manner(), "", "challenge = \"http-01\"\nhosts = [\"other.example\"]\n") else { return };
    let root = rig.pebble.root();
    for host in ["shop.example", "other.example"] {
        eventually(host, || rig.certificate(host));
    }
    eventually("shop.example is served", || (rig.get("shop.example", &root).as_deref() == Ok("hello")).then_some(()));
    // The certificate is good; there is only no route.
    assert!(rig.get("other.example", &root).unwrap().contains("404"));
    assert!(rig.get("stranger.example", &root).unwrap_err().contains("stranger.example"), "nobody asks for it");
    let mode = std::fs::metadata(rig.alone.home.data().join("router/acme")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let orders = rig.pebble.said("/order-plz");
    let accounts = rig.pebble.said(" accounts in memory");
    let rig = rig.again();
    assert_eq!(rig.get("shop.example", &root).as_deref(), Ok("hello"), "from the first handshake on");
    // A host that turns up later is asked for with the same account.
    let config = std::fs::read_to_string(rig.alone.home.path("router.toml")).unwrap();
    rig.alone.home.write("router.toml", &config.replace("other.example", "third.example"));
    kill_process(Pid::from_child(&rig.alone.child.0), Signal::HUP).unwrap();
    eventually("third.example", || rig.certificate("third.example"));
    assert_eq!(rig.pebble.said(" accounts in memory"), accounts, "no account was made");
    assert!(rig.pebble.said("/order-plz") > orders);
}

#[test]
fn tls_alpn_01_works_where_clients_must_show_certificates() {
    let tls = "client_ca = \"client-ca.pem\"\nclient_certificate = \"required\"\n";
    let Some(rig) = Rig::new(manner(), tls, "challenge = \"tls-alpn-01\"\n") else { return };
    let root = rig.pebble.root();
    eventually("a certificate", || rig.certificate("shop.example"));
    eventually("it is served", || (rig.get("shop.example", &root).as_deref() == Ok("hello")).then_some(()));
}

#[test]
fn an_order_that_is_cut_by_kill_9_goes_on() {
    let slow = Manner { looks_after_s: 3, nonces_refused: 0, ..manner() };
    let Some(rig) = Rig::new(slow, "", "challenge = \"http-01\"\n") else { return };
    let root = rig.pebble.root();
    eventually("an order is open", || rig.open_order("shop.example"));
    let rig = rig.again();
    eventually("a certificate", || rig.certificate("shop.example"));
    assert_eq!(rig.get("shop.example", &root).as_deref(), Ok("hello"));
    assert_eq!(rig.pebble.said("Added order"), 1, "the same order");
    assert_eq!(rig.open_order("shop.example"), None);
}

#[test]
fn certificates_are_renewed_and_the_old_one_serves_while_the_authority_is_away() {
    let short = Manner { validity_s: 20, nonces_refused: 0, ..manner() };
    let Some(mut rig) = Rig::new(short, "", "") else { return };
    let root = rig.pebble.root();
    let first = eventually("a certificate", || rig.certificate("shop.example"));
    let second = eventually("another one", || rig.certificate("shop.example").filter(|one| *one != first));
    rig.pebble.stop();
    assert_eq!(rig.get("shop.example", &root).as_deref(), Ok("hello"));
    eventually("the renewal fails", || rig.kept("failing.json").filter(|text| text.contains("shop.example")));
    assert_eq!(rig.get("shop.example", &root).as_deref(), Ok("hello"), "the old one serves on");
    assert_eq!(rig.certificate("shop.example").unwrap(), second);
    // It has forgotten the account as well.
    rig.pebble.again();
    let root = rig.pebble.root();
    eventually("it is renewed", || (rig.get("shop.example", &root).as_deref() == Ok("hello")).then_some(()));
}

#[test]
fn an_authority_that_wants_to_know_its_customers() {
    let closed = Manner { external: true, ..manner() };
    let lines = format!("external_account = {{ key_id = \"{}\", key_file = \"eab.key\" }}\n", CUSTOMER[0]);
    let Some(rig) = Rig::new(closed, "", &lines) else { return };
    // The file is read when the account is made, so this comes in time or is tried again.
    rig.alone.home.write("eab.key", CUSTOMER[1]);
    eventually("a certificate", || rig.certificate("shop.example"));
}
