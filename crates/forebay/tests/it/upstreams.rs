//! Endpoints that other people's servers are: OpenSSL's with TLS, Google's with gRPC.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use crate::python;
use crate::rig::alone::Alone;
use crate::rig::{Home, Stray, eventually};
use crate::tls::Authority;

fn write_config(home: &Home, endpoint: SocketAddr, upstream: &str) {
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[upstreams.shop]\n\
             endpoints = [\"{endpoint}\"]\n{upstream}\n[[routes]]\nupstream = \"shop\"\nhold_ms = 0\n"
        ),
    );
}

/// What the router believes of its endpoints: healthy, unhealthy.
fn counts(alone: &Alone) -> (u64, u64) {
    let said: serde_json::Value = serde_json::from_str(&alone.get("/.forebay/health/shop").body).unwrap();
    let count = |what: &str| said["endpoints"][what].as_u64().unwrap();
    (count("healthy"), count("unhealthy"))
}

#[test]
fn openssl_s_server_is_asked_with_a_certificate_and_checked_by_tls() {
    let home = Home::new();
    let authority = Authority::new(&home, "site");
    authority.issue(&home, "site");
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-www", "-Verify", "1", "-verify_return_error", "-accept", &addr.to_string()]);
    command.arg("-cert").arg(home.path("site.pem")).arg("-key").arg(home.path("site.key"));
    command.arg("-CAfile").arg(home.path("site-ca.pem")).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(server) = command.spawn() else {
        eprintln!("skipped: openssl is not installed");
        return;
    };
    let _server = Stray(server);
    let upstream = "tls = { ca = \"site-ca.pem\", server_name = \"shop.example\", \
                    certificate = { cert = \"site.pem\", key = \"site.key\" } }\n\
                    health = { path = \"/\", interval_ms = 50, rise = 1 }";
    write_config(&home, addr, upstream);
    let alone = Alone::serve(home, &[]);
    eventually("the check goes through", || (counts(&alone) == (1, 0)).then_some(()));
    let reply = alone.get("/");
    assert!(reply.status == 200 && reply.body.contains("s_server"), "{}", reply.body);
    // Another certificate, which nobody there believes, is taken from the same file soon.
    let stranger = Authority::new(&alone.home, "stranger");
    stranger.issue(&alone.home, "site");
    eventually("the new certificate is shown", || (alone.get("/").status != 200).then_some(()));
}

#[test]
fn google_s_grpc_says_whether_it_serves() {
    let Some(interpreter) = python::python() else { return };
    let script = python::script("checks.py");
    let mut command = Command::new(&interpreter);
    command.arg(&script).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Stray(command.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let addr = SocketAddr::new([127, 0, 0, 1].into(), port.trim().parse().unwrap());
    let home = Home::new();
    write_config(&home, addr, "protocol = \"h2c\"\nhealth = { grpc = \"shop\", interval_ms = 50, rise = 1, fall = 1 }");
    let alone = Alone::serve(home, &[]);
    let ask = |service: &str| {
        let mut command = Command::new(&interpreter);
        let output = command.arg(&script).args(["ask", &alone.http.to_string(), service]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    eventually("the service is healthy", || (counts(&alone) == (1, 0)).then_some(()));
    assert_eq!((ask("shop"), ask(""), ask("other")), ("SERVING".into(), "SERVING".into(), "NOT_FOUND".into()));
    let orders = server.0.stdin.as_mut().unwrap();
    orders.write_all(b"NOT_SERVING\n").unwrap();
    eventually("the service is not", || (counts(&alone) == (0, 1)).then_some(()));
}
