//! A real browser: HTTP/2 with TLS, a password, a page of fragments, the cache, a compressed script and a WebSocket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use crate::python;
use crate::rig::alone::{Alone, bound};
use crate::rig::{Home, Stray, eventually};
use crate::tls::Authority;

/// What the page asks and says back; it reports by a request, so that nothing has to be read out of the browser.
const SCRIPT: &str = "
// A browser asks nothing of an address with a password in it.
const ask = path => fetch(location.origin + path);
const said = { protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol };
said.fragment = document.querySelector('#basket').textContent;
const first = await ask('/assets/list'), second = await ask('/assets/list');
said.list = await first.text() === await second.text() ? 'same' : 'other';
said.cache = second.headers.get('cache-status');
said.user = await (await ask('/user')).text();
const socket = new WebSocket(`wss://${location.host}/ws`);
socket.onopen = () => socket.send('a word');
socket.onmessage = event => { said.socket = event.data; ask('/report?' + new URLSearchParams(said)); };
";
const PAGE: &str = "<!DOCTYPE html><title>shop</title><p id=basket><esi:include src=\"/basket\"/></p>\
                    <script type=module src=/assets/script.js></script>";

#[test]
fn a_browser_is_served_whatever_it_asks_for() {
    let (Some(browser), Some(interpreter)) = (browser(), python::python()) else { return };
    let mut command = Command::new(interpreter);
    let mut sockets = Stray(command.arg(python::script("web.py")).arg("serve").stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(sockets.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let chat = SocketAddr::new([127, 0, 0, 1].into(), port.trim().parse().unwrap());
    let (report, reported) = sync_channel(1);
    let shop = application(report);
    let home = Home::new();
    Authority::new(&home, "site").issue(&home, "site");
    // Of `s3cret`, at the least cost that there is.
    let hash = "$2y$04$fPwwK1UyQWaq21m6wzCOrOJ/SoXrwwtE6Z1cJinjgvWb8trdbsNAG";
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[router.tls]\n\
             listen = [\"127.0.0.1:0\"]\ncertificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [upstreams.shop]\nendpoints = [\"{shop}\"]\n[upstreams.chat]\nendpoints = [\"{chat}\"]\n\
             [[routes]]\nupstream = \"shop\"\nfragments = {{}}\ncompress = {{ bytes_min = 0 }}\n\
             basic_auth = {{ users = [\"ann:{hash}\"] }}\n\
             [[routes]]\npath_prefix = \"/basket\"\nupstream = \"shop\"\n\
             [[routes]]\npath_prefix = \"/assets\"\nupstream = \"shop\"\ncache = {{}}\ncompress = {{ bytes_min = 0 }}\n\
             [[routes]]\npath_prefix = \"/ws\"\nupstream = \"chat\"\n"
        ),
    );
    let alone = Alone::serve(home, &[]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    let url = format!("https://ann:s3cret@localhost:{}/", https.port());
    let _browser = visit(&browser, &alone.home, &url);
    let said = reported.recv_timeout(Duration::from_secs(60)).expect("the page reports");
    let said: BTreeMap<&str, &str> = said.split('&').filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(said["protocol"], "h2");
    assert_eq!(said["fragment"], "two+pears");
    assert_eq!(said["list"], "same");
    assert!(said["cache"].contains("hit"), "{said:?}");
    assert_eq!(said["user"], "ann");
    assert_eq!(said["socket"], "a+word");
}

/// Debian's Chromium, if it is there.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no chromium");
    }
    found
}

/// Opens a page. The certificate is of an authority that the browser does not know.
fn visit(browser: &Path, home: &Home, url: &str) -> Stray {
    let profile = format!("--user-data-dir={}", home.path("browser").display());
    let mut command = Command::new(browser);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--disable-background-networking", "--no-proxy-server", "--ignore-certificate-errors"]);
    // Something keeps it open until it is killed.
    command.args([profile.as_str(), "--remote-debugging-port=0", url]);
    Stray(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Answers what the page asks for; what is reported goes to `report`.
fn application(report: SyncSender<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let report = report.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while let Some(reply) = answer(&mut lines, &report) {
                    if (&stream).write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

fn answer(lines: &mut impl Iterator<Item = String>, report: &SyncSender<String>) -> Option<String> {
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let target = head.first()?.split(' ').nth(1)?;
    let user = head.iter().find_map(|line| line.strip_prefix("forebay-user: ")).unwrap_or_default();
    let (kind, content) = match target.split_once('?').map_or(target, |(path, _)| path) {
        "/" => ("text/html", PAGE),
        "/basket" => ("text/plain", "two pears"),
        "/assets/list" => ("application/json", "[1, 2, 3]"),
        "/assets/script.js" => ("text/javascript", SCRIPT),
        "/user" => ("text/plain", user),
        "/report" => {
            // Once it is heard nobody listens any more.
            report.try_send(target.split_once('?')?.1.into()).unwrap_or_default();
            ("text/plain", "thanks")
        }
        _ => ("text/plain", "nothing"),
    };
    let length = content.len();
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncache-control: max-age=0, s-maxage=60\r\ncontent-length: {length}\r\n\r\n{content}"
    ))
}
