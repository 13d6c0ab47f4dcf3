//! Whom to ask: `/etc/resolv.conf`, and what `/etc/hosts` says without asking.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Servers that are asked; more in the file are not used.
const SERVERS_MAX: usize = 3;
/// Bytes of either file that are read.
const FILE_BYTES_MAX: usize = 1 << 20;
const PORT: u16 = 53;

/// Whom to ask, and what is known without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// In the order in which they are asked.
    pub addrs: Vec<SocketAddr>,
    /// Addresses by name, of `/etc/hosts`.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
}

/// Why the system's files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {file}: {source}")]
pub struct ServersError {
    file: &'static str,
    source: io::Error,
}

impl Servers {
    /// Those of `/etc/resolv.conf`, or the resolver of this machine when it names none, and `/etc/hosts`. A file that is not
    /// there says nothing.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn of_system() -> Result<Servers, ServersError> {
        let mut addrs = nameservers(&read("/etc/resolv.conf")?);
        if addrs.is_empty() {
            addrs.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Ok(Servers { addrs, hosts: hosts(&read("/etc/hosts")?) })
    }

    /// These, or the resolver of this machine; nothing is read.
    pub fn without_files(mut addrs: Vec<SocketAddr>) -> Servers {
        if addrs.is_empty() {
            addrs.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Servers { addrs, hosts: BTreeMap::new() }
    }

    /// These, and `/etc/hosts`.
    ///
    /// # Errors
    /// When that file is there and cannot be read.
    pub fn named(addrs: Vec<SocketAddr>) -> Result<Servers, ServersError> {
        Ok(Servers { addrs, hosts: hosts(&read("/etc/hosts")?) })
    }
}

fn read(file: &'static str) -> Result<String, ServersError> {
    match std::fs::read(Path::new(file)) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_BYTES_MAX)]).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ServersError { file, source }),
    }
}

fn nameservers(text: &str) -> Vec<SocketAddr> {
    let addrs = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let addr = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        // A zone (`fe80::1%eth0`) cannot be used here.
        Some(SocketAddr::new(addr.parse().ok()?, PORT))
    });
    addrs.take(SERVERS_MAX).collect()
}

fn hosts(text: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(addr) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            hosts.entry(name.to_ascii_lowercase()).or_default().push(addr);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system() {
        let text =
            "# dns\nsearch x\nnameserver 10.0.0.2\n nameserver ::1 \nnameserver fe80::1%e\nnameservers 9.9.9.9\n";
        let found = nameservers(text);
        assert_eq!(found, ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        let known = hosts("127.0.0.1 localhost Shop # shop2\n::1 localhost\nnonsense x\n");
        assert_eq!(known["localhost"].len(), 2);
        assert_eq!(known["shop"], ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(known.len(), 2);
    }
}
