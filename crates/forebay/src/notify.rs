//! systemd's readiness protocol: `READY=1` and `STOPPING=1` to the datagram socket named by NOTIFY_SOCKET.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the service manager, where there is one.
pub(crate) fn notify(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&name),
    };
    if let Err(error) = address.and_then(|address| send(&address, state)) {
        tracing::warn!(%error, "cannot tell the service manager {state}");
    }
}

fn send(address: &SocketAddr, state: &str) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), address).map(drop)
}

/// A unit for this node. `KillMode=process` leaves the instances to be adopted by the next start.
pub(crate) fn unit(command: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Forebay node\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={command}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         KillMode=process\n\
         TimeoutStopSec=90\n\
         Restart=on-failure\n\
         LimitNOFILE=1048576\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target"
    )
}
