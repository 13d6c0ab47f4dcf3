//! `forebay queue serve` in a folder, and a client that says lines of the beanstalkd protocol and hears them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::alone::bound;
use super::{Home, Stray, eventually};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A queue that runs alone.
pub(crate) struct QueueAlone {
    pub(crate) addr: SocketAddr,
    pub(crate) child: Stray,
}

impl QueueAlone {
    /// With its data in `data`, ready.
    pub(crate) fn serve(home: &Home, data: &Path) -> QueueAlone {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.path("stderr")).unwrap();
        let before = home.said().len();
        let mut command = home.command();
        command.args(["queue", "serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        let mut child = Stray(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let addr = eventually("the queue is ready", || {
            if let Some(status) = child.0.try_wait().unwrap() {
                panic!("the queue ended with {status}:\n{}", home.said());
            }
            bound(&home.said()[before..], "queue")
        });
        QueueAlone { addr, child }
    }

    pub(crate) fn connect(&self) -> Talk {
        Talk::with(self.addr).unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }
}

/// A client. Its errors are those of a connection whose server may be killed at any time.
pub(crate) struct Talk(BufReader<TcpStream>);

impl Talk {
    pub(crate) fn with(addr: SocketAddr) -> io::Result<Talk> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Talk(BufReader::new(stream)))
    }

    /// Sends a line and hears one.
    pub(crate) fn ask(&mut self, line: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        answer.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Puts a job; its id, or what else was said.
    pub(crate) fn put(&mut self, body: &str) -> io::Result<Result<u64, String>> {
        let said = self.ask(&format!("put 0 0 60 {}\r\n{body}", body.len()))?;
        Ok(said.strip_prefix("INSERTED ").and_then(|id| id.parse().ok()).ok_or(said))
    }

    /// Reserves the next job, if one is ready: its id and its body.
    pub(crate) fn reserve(&mut self) -> io::Result<Option<(u64, String)>> {
        let said = self.ask("reserve-with-timeout 0")?;
        let words: Vec<&str> = said.split(' ').collect();
        let ["RESERVED", id, bytes] = words[..] else {
            assert_eq!(said, "TIMED_OUT");
            return Ok(None);
        };
        let mut body = vec![0; bytes.parse::<usize>().unwrap() + 2];
        self.0.read_exact(&mut body)?;
        body.truncate(body.len() - 2);
        Ok(Some((id.parse().unwrap(), String::from_utf8(body).unwrap())))
    }
}
