//! Which peers are believed: addresses and networks in CIDR notation.

use std::net::IpAddr;

/// Peers whose `traceparent`, `X-Forwarded-*` and deadlines are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedPeers(Vec<Network>);

/// An address, or all that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    base: IpAddr,
    bits: u8,
}

/// A text that names no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a network: write 10.0.0.1, 10.0.0.0/8 or fd00::/8")]
pub struct PeerError(String);

impl TrustedPeers {
    pub(crate) fn parse(texts: &[String]) -> Result<TrustedPeers, PeerError> {
        texts
            .iter()
            .map(|text| network(text).ok_or_else(|| PeerError(text.clone())))
            .collect::<Result<_, _>>()
            .map(TrustedPeers)
    }

    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.0.iter().any(|network| network.contains(addr))
    }
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Network> {
        network(text)
    }

    pub(crate) fn contains(self, addr: IpAddr) -> bool {
        match (self.base, addr) {
            (IpAddr::V4(base), IpAddr::V4(addr)) => {
                u32::from(self.bits) == 0 || (base.to_bits() ^ addr.to_bits()) >> (32 - u32::from(self.bits)) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(addr)) => {
                u32::from(self.bits) == 0 || (base.to_bits() ^ addr.to_bits()) >> (128 - u32::from(self.bits)) == 0
            }
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<Network> {
    let (base, bits) = match text.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let base: IpAddr = base.parse().ok()?;
    let most = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { base, bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believes(peers: &str, addr: &str) -> bool {
        TrustedPeers::parse(&[peers.into()]).unwrap().contains(addr.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        assert!(believes("127.0.0.0/8", "127.9.9.9"));
        assert!(!believes("127.0.0.0/8", "128.0.0.1"));
        assert!(believes("10.1.2.3", "10.1.2.3"));
        assert!(!believes("10.1.2.3", "10.1.2.2"));
        assert!(believes("0.0.0.0/0", "8.8.8.8"));
        assert!(!believes("0.0.0.0/0", "::1"));
        assert!(believes("fd00::/8", "fd12::1"));
        assert!(!believes("fd00::/8", "fe80::1"));
        assert!(believes("127.0.0.0/8", "::ffff:127.0.0.1"));
    }

    #[test]
    fn what_names_no_peer_is_said() {
        for bad in ["", "10.0.0.0/33", "::/129", "localhost", "10.0.0.0/x", "10.0.0"] {
            assert_eq!(TrustedPeers::parse(&[bad.into()]), Err(PeerError(bad.into())));
        }
    }
}
