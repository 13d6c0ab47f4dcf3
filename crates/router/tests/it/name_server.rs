//! A name server of two kinds of records, which does what the test says.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// What the server does with questions for a name.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// These addresses, for so many seconds.
    A(Vec<Ipv4Addr>, u32),
    /// These services: priority, port, host.
    Srv(Vec<(u16, u16, u16, &'static str)>, u32),
    /// There is no such name.
    NoName,
    /// The name is there, and nobody behind it.
    Nobody,
    /// Nothing.
    Silence,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct NameServer {
    pub(crate) addr: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Zone {
    names: HashMap<String, Says>,
    asked: HashMap<String, usize>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameServer {
    pub(crate) async fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let task = tokio::spawn(serve(socket, Arc::clone(&zone))).abort_handle();
        NameServer { addr, zone, task }
    }

    pub(crate) fn says(&self, name: &str, what: Says) {
        self.zone.lock().unwrap().names.insert(name.into(), what);
    }

    /// Questions for a name until now.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().unwrap().asked.get(name).copied().unwrap_or(0)
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 512];
    loop {
        let (read, from) = socket.recv_from(&mut buffer).await.unwrap();
        let (name, kind) = question(&buffer[12..read]);
        let says = {
            let mut zone = zone.lock().unwrap();
            *zone.asked.entry(name.clone()).or_default() += 1;
            zone.names.get(&name).cloned().unwrap_or(Says::NoName)
        };
        if let Some(reply) = reply(&buffer[..read], kind, &says) {
            // Who asked may have given up.
            socket.send_to(&reply, from).await.ok();
        }
    }
}

fn question(mut bytes: &[u8]) -> (String, u16) {
    let mut labels = Vec::new();
    while bytes[0] != 0 {
        let (label, rest) = bytes[1..].split_at(bytes[0].into());
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        bytes = rest;
    }
    (labels.join("."), u16::from_be_bytes([bytes[1], bytes[2]]))
}

fn reply(question: &[u8], kind: u16, says: &Says) -> Option<Vec<u8>> {
    let (code, records): (u8, Vec<Vec<u8>>) = match says {
        Says::Silence => return None,
        Says::NoName => (3, Vec::new()),
        Says::Nobody => (0, Vec::new()),
        Says::A(addrs, ttl) if kind == 1 => (0, addrs.iter().map(|ip| record(1, *ttl, &ip.octets())).collect()),
        Says::Srv(all, ttl) if kind == 33 => (0, all.iter().map(|one| record(33, *ttl, &service(*one))).collect()),
        Says::A(..) | Says::Srv(..) => (0, Vec::new()),
    };
    let mut reply = question.to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    reply[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    reply.extend(records.concat());
    Some(reply)
}

/// About the name of the question, which begins at byte 12.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xC0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn service((priority, weight, port, host): (u16, u16, u16, &str)) -> Vec<u8> {
    let mut bytes = [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()].concat();
    for label in host.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
