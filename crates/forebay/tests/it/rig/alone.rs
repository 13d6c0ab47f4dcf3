//! A router that runs alone, in front of endpoints of the test's own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::{Home, Reply, Stray, eventually, http};

/// `forebay router serve`, ready.
pub(crate) struct Alone {
    pub(crate) http: SocketAddr,
    pub(crate) child: Stray,
    pub(crate) home: Home,
}

impl Alone {
    /// Serves `router.toml` of the folder, with these further words.
    pub(crate) fn serve(home: Home, words: &[&str]) -> Alone {
        let said = home.path("stderr");
        let before = fs::read_to_string(&said).unwrap_or_default().len();
        let log = fs::OpenOptions::new().create(true).append(true).open(&said).unwrap();
        let mut command = home.command();
        command.args(["router", "serve", "--config"]).arg(home.path("router.toml")).args(words);
        let mut child = Stray(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let http = eventually("the router is ready", || {
            if let Some(status) = child.0.try_wait().unwrap() {
                panic!("the router ended with {status}:\n{}", home.said());
            }
            bound(&home.said()[before..], "http")
        });
        Alone { http, child, home }
    }

    /// In front of these endpoints, on any port.
    pub(crate) fn in_front_of(endpoints: &[SocketAddr], words: &[&str]) -> Alone {
        let home = Home::new();
        write_config(&home, endpoints);
        Alone::serve(home, words)
    }

    /// The same folder, served again after a `kill -9`.
    pub(crate) fn again(mut self, words: &[&str]) -> Alone {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
        Alone::serve(self.home, words)
    }

    /// A request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        http::send(self.http, &format!("GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")).unwrap()
    }
}

/// Writes a `router.toml` with one route for everything.
pub(crate) fn write_config(home: &Home, endpoints: &[SocketAddr]) {
    let endpoints: Vec<String> = endpoints.iter().map(|addr| format!("\"{addr}\"")).collect();
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[upstreams.shop]\nendpoints = [{}]\n\
             [[routes]]\nupstream = \"shop\"\n",
            endpoints.join(", ")
        ),
    );
}

/// The first address that `what` was bound to, by what the router says.
pub(crate) fn bound(said: &str, what: &str) -> Option<SocketAddr> {
    said.lines().find_map(|line| line.strip_prefix(what)?.trim().parse().ok())
}

/// An endpoint that answers every request with `text`, one connection at a time each on a thread of its own.
pub(crate) fn endpoint(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                        if (&stream).write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    addr
}

/// The admin token of a data folder.
pub(crate) fn token(data: &Path) -> String {
    fs::read_to_string(data.join("admin.token")).unwrap().trim().to_string()
}
