//! Raw endpoints: they record what reaches them and do with it what the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// One request as it arrived, framed by the strictest reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The head with its empty line.
    pub(crate) head: String,
    /// The content, chunks put together.
    pub(crate) content: Vec<u8>,
}

impl Received {
    /// The values of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The only value of a field.
    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.head);
        all[0]
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What an endpoint does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and waits for the next request.
    Reply(Vec<u8>),
    /// Sends these bytes and closes.
    ReplyAndClose(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Never answers.
    Hang,
    /// Answers 200 when the gate is opened.
    WhenOpen(watch::Receiver<bool>),
}

/// A whole reply with content.
pub(crate) fn says(content: &str) -> Act {
    Act::Reply(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{content}", content.len()).into_bytes())
}

type Behaviour = Arc<dyn Fn(&Received) -> Act + Send + Sync>;

/// A running endpoint; dropping it ends it and its connections.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Received>,
    connections: usize,
    raw: Vec<u8>,
}

impl Endpoint {
    /// An endpoint on a free port.
    pub(crate) async fn new(behaviour: impl Fn(&Received) -> Act + Send + Sync + 'static) -> Endpoint {
        Endpoint::on("127.0.0.1:0".parse().unwrap(), behaviour).await
    }

    /// An endpoint that always says the same.
    pub(crate) async fn saying(content: &'static str) -> Endpoint {
        Endpoint::new(move |_| says(content)).await
    }

    /// An endpoint on a known address: one that comes back.
    pub(crate) async fn on(addr: SocketAddr, behaviour: impl Fn(&Received) -> Act + Send + Sync + 'static) -> Endpoint {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(behaviour), Arc::clone(&seen)));
        Endpoint { addr, seen, tasks }
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(crate) fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Every byte that ever arrived.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned()
    }

    /// As they are.
    pub(crate) fn raw_bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().raw.clone()
    }

    /// Dies as a process does: its port and all its connections at once.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.addr
    }
}

async fn accept(listener: TcpListener, behaviour: Behaviour, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.lock().unwrap().connections += 1;
        connections.spawn(serve(stream, Arc::clone(&behaviour), Arc::clone(&seen)));
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, seen: Arc<Mutex<Seen>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, &seen).await {
        seen.lock().unwrap().requests.push(request.clone());
        let written = match behaviour(&request) {
            Act::Reply(bytes) => stream.write_all(&bytes).await,
            Act::ReplyAndClose(bytes) => {
                // The router may be gone already; that is the test's affair.
                drop(stream.write_all(&bytes).await);
                return;
            }
            Act::Close => return,
            Act::Hang => std::future::pending().await,
            Act::WhenOpen(mut gate) => {
                gate.wait_for(|open| *open).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nopen").await
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// The next request, `None` when the connection ends before or in it.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Mutex<Seen>) -> Option<Received> {
    let head_bytes = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer, seen).await?;
    };
    let head: Vec<u8> = buffer.drain(..head_bytes).collect();
    let mut received = Received { head: String::from_utf8_lossy(&head).into_owned(), content: Vec::new() };
    if received.all("transfer-encoding") == ["chunked"] {
        received.content = read_chunks(stream, buffer, seen).await?;
    } else if let [length] = received.all("content-length")[..] {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            fill(stream, buffer, seen).await?;
        }
        received.content = buffer.drain(..length).collect();
    }
    Some(received)
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Mutex<Seen>) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = read_line(stream, buffer, seen).await?;
        let size = usize::from_str_radix(&line, 16).unwrap();
        while buffer.len() < size {
            fill(stream, buffer, seen).await?;
        }
        content.extend(buffer.drain(..size));
        let end = read_line(stream, buffer, seen).await?;
        if size == 0 {
            // `end` was the first trailer or the empty line behind the last chunk.
            let mut line = end;
            while !line.is_empty() {
                line = read_line(stream, buffer, seen).await?;
            }
            return Some(content);
        }
        assert_eq!(end, "");
    }
}

async fn read_line(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Mutex<Seen>) -> Option<String> {
    loop {
        if let Some(at) = find(buffer, b"\r\n") {
            let line: Vec<u8> = buffer.drain(..at + 2).take(at).collect();
            return Some(String::from_utf8(line).unwrap());
        }
        fill(stream, buffer, seen).await?;
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Mutex<Seen>) -> Option<()> {
    let before = buffer.len();
    let read = stream.read_buf(buffer).await.ok()?;
    seen.lock().unwrap().raw.extend_from_slice(&buffer[before..]);
    (read > 0).then_some(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
