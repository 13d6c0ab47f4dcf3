//! 500 requests a second by h2load while the file is read again and again, endpoints change and so does the certificate: none
//! fails, in HTTP/1.1 and HTTP/2, with TLS and without.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::alone::{Alone, bound, endpoint};
use crate::rig::{Home, eventually};
use crate::tls::Authority;

fn write_config(home: &Home, endpoints: &[SocketAddr]) {
    let endpoints: Vec<String> = endpoints.iter().map(|addr| format!("\"{addr}\"")).collect();
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[router.tls]\n\
             listen = [\"127.0.0.1:0\"]\ncertificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [upstreams.shop]\nendpoints = [{}]\n[[routes]]\nupstream = \"shop\"\n",
            endpoints.join(", ")
        ),
    );
}

#[test]
fn no_request_fails_on_reload_by_h1_h2_and_tls() {
    let home = Home::new();
    let authority = Authority::new(&home, "site");
    authority.issue(&home, "site");
    let endpoints = [endpoint("a"), endpoint("b")];
    write_config(&home, &endpoints);
    let alone = Alone::serve(home, &[]);
    let https = eventually("HTTPS is served", || bound(&alone.home.said(), "https"));
    let (plain, secure) = (format!("http://{}/", alone.http), format!("https://{https}/"));
    for (words, url) in [(&["--h1"][..], &plain), (&[], &plain), (&["--h1"], &secure), (&[], &secure)] {
        let mut command = Command::new("h2load");
        command.args(["-n", "2000", "-c", "10", "--rps", "50"]).args(words).arg(url);
        let Ok(mut load) = command.stdout(Stdio::piped()).spawn() else {
            eprintln!("skipped: h2load is not installed");
            return;
        };
        let mut reloads = 0;
        while load.try_wait().unwrap().is_none() {
            write_config(&alone.home, &endpoints[reloads % 2..][..1]);
            authority.issue(&alone.home, "site");
            kill_process(Pid::from_child(&alone.child.0), Signal::HUP).unwrap();
            reloads += 1;
            std::thread::sleep(Duration::from_millis(200));
        }
        let said = String::from_utf8(load.wait_with_output().unwrap().stdout).unwrap();
        let line = said.lines().find(|line| line.starts_with("requests: ")).unwrap_or(&said);
        let good = "requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert_eq!(line, good, "{words:?} {url}");
        assert!(reloads >= 5, "{reloads}");
    }
}
