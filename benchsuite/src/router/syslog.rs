//! A syslog server that reads and forgets: where haproxy's access log goes, as it does in production.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};

/// The longest datagram of RFC 5426 that haproxy sends by default has 1,024 bytes; what is longer is cut by the system.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Starts one on a free port of loopback, with the load's part of the machine; it ends with the process.
pub(super) fn start() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for syslog")?;
    let addr = socket.local_addr().context("a socket without an address")?;
    let read = move || {
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        while socket.recv(&mut datagram).is_ok() {}
    };
    std::thread::Builder::new().name("syslog".into()).spawn(read).context("no thread for syslog")?;
    Ok(addr)
}
