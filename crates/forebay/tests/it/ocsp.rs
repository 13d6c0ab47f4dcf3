//! OCSP responses from a file beside the certificate, as OpenSSL makes them and sees them.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::rig::alone::{Alone, bound, endpoint};
use crate::rig::{Home, eventually};
use crate::tls::Authority;

/// Makes `site.pem.ocsp` by a responder that knows the certificate as good; whether there is an OpenSSL.
fn respond(home: &Home) -> bool {
    let openssl = |words: &[&str]| {
        let mut command = Command::new("openssl");
        command.arg("ocsp").args(words).current_dir(home.path("")).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let serial = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-in"])
        .arg(home.path("site.pem"))
        .output()
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().replace("serial=", ""));
    let Ok(serial) = serial else { return false };
    home.write("index.txt", &format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN=site\n"));
    openssl(&["-sha256", "-issuer", "site-ca.pem", "-cert", "site.pem", "-no_nonce", "-reqout", "question"])
        && openssl(&[
            "-index",
            "index.txt",
            "-CA",
            "site-ca.pem",
            "-rsigner",
            "site-ca.pem",
            "-rkey",
            "site-ca.key",
            "-reqin",
            "question",
            "-respout",
            "answer",
            "-ndays",
            "2",
        ])
}

/// What a client is told that asks for the status.
fn status(https: SocketAddr) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-status", "-servername", "shop.example", "-connect", &https.to_string()]);
    let out = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn a_response_is_stapled_as_long_as_its_file_is_there_and_good() {
    let home = Home::new();
    let authority = Authority::new(&home, "site");
    home.write("site-ca.key", &authority.key());
    authority.issue(&home, "site");
    if !respond(&home) {
        return eprintln!("skipped: there is no OpenSSL that answers as a responder");
    }
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[router.tls]\nlisten = [\"127.0.0.1:0\"]\n\
             certificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [upstreams.shop]\nendpoints = [\"{}\"]\n[[routes]]\nupstream = \"shop\"\n",
            endpoint("hello")
        ),
    );
    let data = home.data();
    let alone = Alone::serve(home, &["--data", data.to_str().unwrap()]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    let is_stapled = || status(https).contains("OCSP Response Status: successful");
    let listed = || alone.home.forebay(&["certs", "--json"]).ok().stdout;
    assert!(status(https).contains("OCSP response: no response sent") && listed().contains("\"stapled\":false"));
    let file = alone.home.path("site.pem.ocsp");
    std::fs::copy(alone.home.path("answer"), &file).unwrap();
    eventually("the response goes out", || is_stapled().then_some(()));
    assert!(listed().contains("\"stapled\":true"));
    std::fs::write(&file, "no response").unwrap();
    eventually("it goes out no longer", || (!is_stapled()).then_some(()));
    let log = std::fs::read_to_string(alone.home.data().join("node.log")).unwrap();
    assert!(log.contains("the OCSP response is not sent along"), "{log}");
}
