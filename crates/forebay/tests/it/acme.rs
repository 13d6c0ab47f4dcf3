//! Certificates from an authority: Debian's `pebble`, which really looks at the hosts.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::rig::alone::{Alone, endpoint};
use crate::rig::pebble::{CUSTOMER, Manner, Pebble, free};
use crate::rig::{Home, Node, eventually};
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
        let pebble = Pebble::start(&home, &Manner { looks_at: [patient(http), https], ..manner })?;
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

    /// What curl gets of `https://HOST/`, by the authority's root.
    fn get(&self, host: &str, root: &Path) -> Result<String, String> {
        get(&self.alone.home, self.https, host, root)
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

    /// What `forebay certs` lists.
    fn certs(&self) -> Vec<Value> {
        let said = self.alone.home.forebay(&["certs", "--json"]).ok().stdout;
        let mut said: Value = serde_json::from_str(&said).unwrap();
        said["items"].take().as_array().unwrap().clone()
    }

    fn again(mut self) -> Rig {
        let data = self.alone.home.data();
        self.alone = self.alone.again(&["--data", data.to_str().unwrap()]);
        self
    }
}

/// A port that asks `port` until that answers 200: an authority that looks while the router is away, or has just begun, would
/// rightly call the order invalid.
fn patient(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || look(client, port));
        }
    });
    ours
}

/// Takes one look to the router; it closes what it has looked at.
fn look(mut client: TcpStream, port: u16) {
    let mut asked = Vec::new();
    for byte in BufReader::new(&client).bytes() {
        asked.push(byte.unwrap());
        if asked.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    assert!(asked.to_ascii_lowercase().windows(17).any(|line| line == b"connection: close"), "{asked:?}");
    let answer = eventually("the router answers the challenge", || {
        let mut router = TcpStream::connect(("127.0.0.1", port)).ok()?;
        router.write_all(&asked).ok()?;
        let mut answer = Vec::new();
        router.read_to_end(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 200").then_some(answer)
    });
    client.write_all(&answer).unwrap();
}

/// What curl gets of `https://HOST/`, by the authority's root; it shows a certificate of its own.
fn get(home: &Home, https: u16, host: &str, root: &Path) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(root);
    command.arg("--cert").arg(home.path("client.pem")).arg("--key").arg(home.path("client.key"));
    command.args(["--resolve", &format!("{host}:{https}:127.0.0.1")]);
    let out = command.arg(format!("https://{host}:{https}/")).output().unwrap();
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
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
    let listed = rig.certs();
    let names: Vec<_> = listed.iter().map(|row| (row["names"][0].as_str().unwrap(), row["state"].as_str())).collect();
    assert_eq!(names, [("other.example", Some("good")), ("shop.example", Some("good"))]);
    let next = listed[0]["next_attempt_ms"].as_u64().unwrap();
    assert!(next < listed[0]["not_after_ms"].as_u64().unwrap() && listed[0]["source"] == "acme", "{listed:?}");
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
    let row = rig.certs().remove(0);
    assert!(row["failures"].as_u64() > Some(0), "{row}");
    assert!(row["last_error"].as_str().unwrap().contains("cannot be asked"), "{row}");
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

#[test]
fn a_node_asks_for_the_hosts_of_what_is_deployed_and_no_others() {
    let home = Home::new();
    let https = free();
    let Some(pebble) = Pebble::start(&home, &Manner { looks_at: [free(), https], ..manner() }) else { return };
    Authority::new(&home, "client").issue(&home, "client");
    let node_toml = std::fs::read_to_string(home.path("node.toml")).unwrap();
    home.write("node.toml", &format!("{node_toml}{}", pebble.config()));
    let node = Node::start_in(home, &["node", "--https", &format!("127.0.0.1:{https}")]);
    let root = pebble.root();
    assert!(get(&node.home, https, "shop.example", &root).is_err(), "there is no certificate yet");
    let manifest = "schema = 1\napp = \"shop\"\n\
        [processes.web]\ncommand = \"python3 -m http.server $PORT --bind 127.0.0.1\"\n\
        [[routes]]\nhost = \"shop.example\"\nprocess = \"web\"\nhttps = {}\n\
        [[routes]]\nhost = \"plain.example\"\nprocess = \"web\"\n";
    node.home.write("shop/forebay.toml", manifest);
    node.home.write("shop/index.html", "good day");
    node.home.forebay(&["deploy".as_ref(), node.home.path("shop").as_os_str()]).ok();
    let served = || get(&node.home, https, "shop.example", &root).ok().filter(|body| body == "good day");
    eventually("the application is served with TLS", served);
    let names: Vec<String> = node.items(&["certs"]).iter().map(|row| row["names"].to_string()).collect();
    assert_eq!(names, ["[\"shop.example\"]"]);
}

#[test]
fn without_a_folder_nothing_can_be_kept_and_that_is_said() {
    let home = Home::new();
    home.write(
        "router.toml",
        "schema = 1\nroutes = []\n[router]\nlisten = [\"127.0.0.1:0\"]\n[router.tls]\nlisten = [\"127.0.0.1:0\"]\n\
         [router.tls.acme]\nterms_agreed = true\nhosts = [\"shop.example\"]\n",
    );
    let config = home.path("router.toml");
    let mut command = std::process::Command::new(home.path("forebay"));
    let out = command.args(["router", "serve", "--config"]).arg(&config).env_remove("FOREBAY_DATA").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("router_acme_nowhere") && said.contains("--data"), "{said}");
}
