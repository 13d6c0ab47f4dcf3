//! Version 2: binary, with extensions.

use std::net::{IpAddr, SocketAddr};

use super::{Addresses, Header, ProxyError, V2_BYTES_MAX};

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let Some([command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    if !matches!(*command, LOCAL | PROXY) {
        return Err(ProxyError::Unknown);
    }
    let end = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if end > V2_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    let Some(content) = bytes.get(FIXED..end) else { return Ok(None) };
    let header = if *command == LOCAL { Some(Header::default()) } else { proxied(*family, content) };
    header.map(|header| Some((header, end))).ok_or(ProxyError::Malformed)
}

fn proxied(family: u8, content: &[u8]) -> Option<Header> {
    // Two addresses and two ports, or two paths of 108 bytes; the lengths are fixed by the upper half of the family.
    let length = match family >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ => return None,
    };
    let (ends, rest) = content.split_at_checked(length)?;
    let addresses = match family {
        TCP4 => Some(addresses(ip::<4>(ends)?, ip::<4>(&ends[4..])?, &ends[8..])?),
        TCP6 => Some(addresses(ip::<16>(ends)?, ip::<16>(&ends[16..])?, &ends[32..])?),
        _ => None,
    };
    Some(Header { addresses, extensions: extensions(rest)? })
}

fn ip<const N: usize>(bytes: &[u8]) -> Option<IpAddr>
where
    IpAddr: From<[u8; N]>,
{
    bytes.first_chunk::<N>().copied().map(IpAddr::from)
}

fn addresses(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Addresses> {
    let [a, b, c, d] = *ports.first_chunk::<4>()?;
    Some(Addresses {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    })
}

fn extensions(mut rest: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut found = Vec::new();
    while let [kind, high, low, after @ ..] = rest {
        let (value, next) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        found.push((*kind, value.to_vec()));
        rest = next;
    }
    rest.is_empty().then_some(found)
}

pub(super) fn write(addresses: Option<Addresses>) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let Some(Addresses { source, destination }) = addresses else {
        bytes.extend([LOCAL, 0, 0, 0]);
        return bytes;
    };
    let mut content = Vec::with_capacity(36);
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(v4) => content.extend(v4.octets()),
            IpAddr::V6(v6) => content.extend(v6.octets()),
        }
    }
    content.extend(source.port().to_be_bytes());
    content.extend(destination.port().to_be_bytes());
    let family = if source.is_ipv4() { TCP4 } else { TCP6 };
    bytes.extend([PROXY, family, 0, content.len() as u8]);
    bytes.extend(content);
    bytes
}
