//! HTTPS as Python's `requests`, `httpx` and `websockets` use it, compression included.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::python;
use crate::rig::alone::{Alone, bound, endpoint};
use crate::rig::{Home, Stray, eventually};
use crate::tls::Authority;

#[test]
fn python_s_clients_are_served_with_tls() {
    let Some(interpreter) = python::python() else { return };
    let script = python::script("web.py");
    let mut command = Command::new(&interpreter);
    let mut server = Stray(command.arg(&script).arg("serve").stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let chat = SocketAddr::new([127, 0, 0, 1].into(), port.trim().parse().unwrap());
    let home = Home::new();
    Authority::new(&home, "site").issue(&home, "site");
    let shop = endpoint("hello");
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[router.tls]\n\
             listen = [\"127.0.0.1:0\"]\ncertificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [upstreams.shop]\nendpoints = [\"{shop}\"]\n[upstreams.chat]\nendpoints = [\"{chat}\"]\n\
             [[routes]]\nupstream = \"shop\"\ncompress = {{ types = [\"*\"], bytes_min = 0 }}\n\
             [[routes]]\npath_prefix = \"/ws\"\nupstream = \"chat\"\n"
        ),
    );
    let alone = Alone::serve(home, &[]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    let mut command = Command::new(&interpreter);
    command.arg(&script).args(["ask", &https.port().to_string()]).arg(alone.home.path("site-ca.pem"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = [["requests 200 hello"; 3], ["httpx HTTP/2 200 hello"; 3]].concat();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines, [wanted, vec!["websockets"]].concat(), "{}", String::from_utf8_lossy(&output.stderr));
}
