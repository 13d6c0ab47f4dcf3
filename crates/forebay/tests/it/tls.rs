//! HTTPS as curl, OpenSSL and Python see it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;

use crate::rig::alone::{Alone, bound, endpoint};
use crate::rig::{Home, Node, Stray, eventually};

/// An authority that writes what it signs into the folder of a test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Its own certificate becomes `NAME-ca.pem`.
    pub(crate) fn new(home: &Home, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        // OpenSSL takes a leaf for self-signed that has its authority's name.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        home.write(&format!("{name}-ca.pem"), &issuer.pem());
        Authority(issuer)
    }

    /// Its key.
    pub(crate) fn key(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// A certificate for `shop.example` and `localhost`: `NAME.pem` and `NAME.key`.
    pub(crate) fn issue(&self, home: &Home, name: &str) {
        let key = KeyPair::generate().unwrap();
        let names = vec!["shop.example".into(), "localhost".into()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        home.write(&format!("{name}.key"), &key.serialize_pem());
        home.write(&format!("{name}.pem"), &leaf.pem());
    }
}

/// What `[router.tls]` says about the certificate `site`, by relative names.
const SITE: &str = "certificates = [{ cert = \"site.pem\", key = \"site.key\" }]\n";

fn write_config(home: &Home, endpoint: SocketAddr, tls: &str) {
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[router.tls]\n\
             listen = [\"127.0.0.1:0\"]\n{tls}[upstreams.shop]\nendpoints = [\"{endpoint}\"]\n\
             [[routes]]\nupstream = \"shop\"\nhttps = {{ hsts_max_age_s = 60 }}\n"
        ),
    );
}

fn serve(tls: &str) -> (Alone, Authority, SocketAddr) {
    let home = Home::new();
    let authority = Authority::new(&home, "site");
    authority.issue(&home, "site");
    write_config(&home, endpoint("hello"), tls);
    let alone = Alone::serve(home, &[]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    (alone, authority, https)
}

/// Runs a client; `None`, and a word about it, where it is not installed.
fn run(command: &mut Command) -> Option<Output> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {command:?}: {error}");
            None
        }
    }
}

fn curl(https: SocketAddr, ca: PathBuf) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(ca);
    command.args(["--resolve", &format!("shop.example:{}:127.0.0.1", https.port())]);
    command.arg(format!("https://shop.example:{}/x", https.port()));
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn curl_is_redirected_and_served() {
    let (alone, _, https) = serve(SITE);
    let Some(output) = run(curl(https, alone.home.path("site-ca.pem")).arg("--include")) else { return };
    let said = text(&output).to_ascii_lowercase();
    assert!(said.contains("strict-transport-security: max-age=60") && said.ends_with("hello"), "{said}");
    let Some(output) = run(curl(https, alone.home.path("site-ca.pem")).args(["--tls-max", "1.2"])) else { return };
    assert_eq!(text(&output), "hello");
    for (words, version) in [(&["--http2"][..], " 2"), (&["--http1.1"], " 1.1")] {
        let mut command = curl(https, alone.home.path("site-ca.pem"));
        let Some(output) = run(command.args(words).args(["--write-out", " %{http_version}"])) else { return };
        assert_eq!(text(&output), format!("hello{version}"));
    }
    let mut redirected = Command::new("curl");
    redirected.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"]);
    let Some(output) = run(redirected.arg(format!("http://{}/a?b", alone.http))) else { return };
    assert_eq!(text(&output), format!("308 https://127.0.0.1:{}/a?b", https.port()));
}

#[test]
fn openssl_resumes_its_sessions_and_old_versions_are_refused() {
    let (alone, _, https) = serve(SITE);
    let (ca, session) = (alone.home.path("site-ca.pem"), alone.home.path("session"));
    let client = |words: &[&str]| {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-servername", "shop.example", "-verify_return_error", "-ign_eof", "-CAfile"])
            .arg(&ca);
        let mut child = command
            .args(["-connect", &https.to_string()])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .inspect_err(|error| eprintln!("skipped: openssl: {error}"))
            .ok()?;
        let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        // One that was refused has hung up already.
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), request).unwrap_or_default();
        Some(text(&child.wait_with_output().unwrap()))
    };
    let file = session.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(said) = client(&[version, "-sess_out", file]) else { return };
        assert!(said.contains("\nNew, TLSv1.") && said.contains("Verify return code: 0"), "{said}");
        let Some(said) = client(&[version, "-sess_in", file]) else { return };
        assert!(said.contains("\nReused, TLSv1.") && said.contains("HTTP/1.1 200"), "{said}");
    }
    let Some(said) = client(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]) else { return };
    assert!(!said.contains("HTTP/1.1 200"), "{said}");
}

#[test]
fn python_speaks_to_it_and_shows_a_certificate() {
    let tls = format!("{SITE}client_ca = \"site-ca.pem\"\nclient_certificate = \"required\"\n");
    let (alone, authority, https) = serve(&tls);
    authority.issue(&alone.home, "client");
    let script = "import http.client, socket, ssl, sys\n\
        port, ca, cert, key = int(sys.argv[1]), *sys.argv[2:]\n\
        def get(context):\n\
        \x20   raw = socket.create_connection(('127.0.0.1', port))\n\
        \x20   connection = http.client.HTTPConnection('shop.example', port)\n\
        \x20   connection.sock = context.wrap_socket(raw, server_hostname='shop.example')\n\
        \x20   for _ in range(3):\n\
        \x20       connection.request('GET', '/')\n\
        \x20       reply = connection.getresponse()\n\
        \x20       print(reply.status, reply.read().decode())\n\
        context = ssl.create_default_context(cafile=ca)\n\
        try:\n\
        \x20   get(context)\n\
        except (ssl.SSLError, ConnectionError) as error:\n\
        \x20   print('refused')\n\
        context.load_cert_chain(cert, key)\n\
        get(context)\n\
        try:\n\
        \x20   import requests\n\
        \x20   session = requests.Session()\n\
        \x20   session.trust_env = False\n\
        \x20   reply = session.get(f'https://localhost:{port}/', verify=ca, cert=(cert, key))\n\
        \x20   print(reply.status_code, reply.text)\n\
        except ImportError:\n\
        \x20   print('200 hello')\n";
    let files = ["site-ca.pem", "client.pem", "client.key"].map(|name| alone.home.path(name));
    let mut python = Command::new("python3");
    python.args(["-c", script, &https.port().to_string()]).args(files);
    let Some(output) = run(&mut python) else { return };
    assert_eq!(text(&output), "refused\n200 hello\n200 hello\n200 hello\n200 hello\n");
}

#[test]
fn new_certificates_are_taken_without_a_word_and_bad_ones_never() {
    let (alone, old, https) = serve(SITE);
    let home = &alone.home;
    let works = |name: &str| Some(run(&mut curl(https, home.path(name)))?.status.success());
    let Some(true) = works("site-ca.pem") else { return eprintln!("skipped: no curl") };
    let new = Authority::new(home, "new");
    new.issue(home, "site");
    eventually("the changed files are in use", || works("new-ca.pem").filter(|works| *works));
    assert_eq!(works("site-ca.pem"), Some(false));
    home.write("site.pem", "no certificate");
    let log = home.data().join("node.log");
    let said = || home.said() + &fs::read_to_string(&log).unwrap_or_default();
    eventually("the bad file is told", || said().contains("cannot be used; those in use stay").then_some(()));
    assert_eq!(works("new-ca.pem"), Some(true));
    // HUP takes another list of them.
    old.issue(home, "other");
    let config = fs::read_to_string(home.path("router.toml")).unwrap();
    home.write("router.toml", &config.replace("site.", "other."));
    rustix::process::kill_process(rustix::process::Pid::from_child(&alone.child.0), Signal::HUP).unwrap();
    eventually("the other certificate is in use", || works("site-ca.pem").filter(|works| *works));
}

#[test]
fn a_node_serves_https_where_it_is_told_to() {
    let home = Home::new();
    let any = "127.0.0.1:0";
    let addresses = ["--http", any, "--https", any, "--queue", any, "--admin", any];
    home.forebay(&[&["node", "--config", home.path("node.toml").to_str().unwrap()][..], &addresses].concat())
        .failed(1, "tls_certificate_missing")
        .says(&["there is no certificate to serve HTTPS with", "[router.tls]"]);
    let authority = Authority::new(&home, "site");
    authority.issue(&home, "site");
    let node_toml = fs::read_to_string(home.path("node.toml")).unwrap();
    let file = |name: &str| home.path(name).display().to_string();
    let tls = format!(
        "[router.tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\n",
        file("site.pem"),
        file("site.key")
    );
    home.write("node.toml", &(node_toml + &tls));
    let mut node = Node::start_in(home, &["node", "--https", "127.0.0.1:0"]);
    let https = |node: &Node| {
        let ports = fs::read_to_string(node.home.data().join("ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        assert_eq!(ports["all"]["https"][0], ports["https"]);
        ports["https"].as_str().unwrap().parse::<SocketAddr>().unwrap()
    };
    let before = https(&node);
    let Some(output) = run(curl(before, node.home.path("site-ca.pem")).args(["--write-out", " %{http_code}"])) else {
        return;
    };
    assert!(text(&output).ends_with(" 404"), "{output:?}");
    node.kill();
    node.start_again_with(&["node", "--https", "127.0.0.1:0"]);
    assert_eq!(https(&node), before, "any port is the one of before");
}

#[test]
fn a_queue_alone_speaks_tls_and_knows_whose_token_it_is() {
    let home = Home::new();
    let authority = Authority::new(&home, "site");
    authority.issue(&home, "site");
    let tokens = home.write("tokens", "shop 0123456789abcdef\n");
    let path = |name: &str| home.path(name).display().to_string();
    let (cert, key, tokens_path) = (path("site.pem"), path("site.key"), tokens.display().to_string());
    let serve =
        ["queue", "serve", "--listen", "127.0.0.1:0", "--tls", "0.0.0.0:0", "--cert", &cert, "--key", &key, "--tokens"];
    let serve_with_tokens: Vec<&str> = serve.iter().copied().chain([tokens_path.as_str()]).collect();
    fs::set_permissions(&tokens, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    home.forebay(&serve_with_tokens).failed(2, "tokens_exposed");
    fs::set_permissions(&tokens, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    home.forebay(&serve[..serve.len() - 1]).failed(1, "queue_open");

    let said = fs::File::create(home.path("said")).unwrap();
    let _queue = Stray(home.command().args(&serve_with_tokens).stderr(said).spawn().unwrap());
    let port = eventually("the queue says where it is", || {
        let said = fs::read_to_string(home.path("said")).ok()?;
        let line = said.lines().find_map(|line| line.strip_suffix(" with TLS"))?;
        line.rsplit(':').next()?.parse::<u16>().ok()
    });
    let client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-servername",
            "localhost",
            "-verify_return_error",
            "-CAfile",
            &path("site-ca.pem"),
        ])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut client) = client else { return eprintln!("skipped: no openssl") };
    let words = b"put 0 0 60 1\r\nx\r\n";
    let mut input = client.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"stats\r\nauth 0123456789abcdef\r\n").unwrap();
    std::io::Write::write_all(&mut input, words).unwrap();
    std::io::Write::write_all(&mut input, b"quit\r\n").unwrap();
    let heard = text(&client.wait_with_output().unwrap());
    assert!(heard.contains("NOT_AUTHORIZED\r\nAUTHORIZED\r\nINSERTED 1\r\n"), "{heard}");
    drop(input);
    home.forebay(&["queue", "peek", "1"]).failed(3, "no_such_job");
    assert_eq!(home.forebay(&["queue", "peek", "1", "--app", "shop"]).ok().stdout, "x\n");
}
