//! One HTTP request at a time, byte for byte, and its answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable word of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.iter().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Itself, when its status is this.
    pub(crate) fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A door to the HTTP API.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) addr: SocketAddr,
    /// Fields that go with every request.
    pub(crate) fields: String,
}

impl Http {
    /// The operators' door of a queue: its admin routes on a socket of their own.
    pub(crate) fn admin(handle: &queue::Handle) -> Http {
        let routes = queue::admin::routes(handle.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            super::block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, routes).await.unwrap();
            });
        });
        Http { addr, fields: String::new() }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", b"")
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, "", b"")
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Answer {
        self.send("POST", target, "", body.as_bytes())
    }

    /// Puts a job and returns its number.
    pub(crate) fn put(&self, tube: &str, body: &str) -> u64 {
        let answer = self.post(&format!("/v1/queue/tubes/{tube}/jobs"), body).is(201);
        answer.json()["id"].as_u64().unwrap()
    }

    /// Reserves jobs of a tube.
    pub(crate) fn reserve(&self, tube: &str, wait_s: u32, jobs: usize) -> Vec<Value> {
        let ask = format!("{{\"tubes\": [\"{tube}\"], \"wait_s\": {wait_s}, \"jobs\": {jobs}}}");
        self.post("/v1/queue/reserve", &ask).is(200).json()["items"].as_array().unwrap().clone()
    }

    /// What a worker says of a job that it reserved.
    pub(crate) fn settle(&self, job: &Value, how: &str) -> Answer {
        let (id, lease) = (&job["id"], &job["lease"]);
        let (verb, more) = how.split_once('?').unwrap_or((how, ""));
        self.post(&format!("/v1/queue/jobs/{id}/{verb}?lease={lease}&{more}"), "")
    }

    /// Sends a request and hears the answer, on a connection of its own.
    pub(crate) fn send(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        hear(self.begin(method, target, fields, body))
    }

    /// Sends a request.
    pub(crate) fn begin(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}{fields}Content-Length: {}\r\n\r\n",
            self.fields,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has heard enough answers before the end of the body.
        if let Err(error) = stream.write_all(body) {
            assert!(!body.is_empty(), "{error}");
        }
        stream
    }
}

/// Hears an answer to its end.
pub(crate) fn hear(stream: TcpStream) -> Answer {
    let mut input = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut body = String::new();
    input.read_to_string(&mut body).unwrap();
    let status = head.first().and_then(|line| line.get(9..12)?.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no answer: {head:?}")), head, body }
}
