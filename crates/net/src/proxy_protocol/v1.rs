//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Header, ProxyError, V1_BYTES_MAX};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_BYTES_MAX { Ok(None) } else { Err(ProxyError::Malformed) };
    };
    let line = std::str::from_utf8(&window[SIGNATURE.len()..end]).map_err(|_| ProxyError::Malformed)?;
    let addresses = if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        None
    } else {
        Some(addresses(line).ok_or(ProxyError::Malformed)?)
    };
    Ok(Some((Header { addresses, extensions: Vec::new() }, end + 2)))
}

fn addresses(line: &str) -> Option<Addresses> {
    let mut parts = line.split(' ');
    let family = parts.next()?;
    let mut ip = || -> Option<IpAddr> {
        let text = parts.next()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let (from, to) = (ip()?, ip()?);
    let (source, destination) = (port(parts.next()?)?, port(parts.next()?)?);
    parts
        .next()
        .is_none()
        .then_some(Addresses { source: SocketAddr::new(from, source), destination: SocketAddr::new(to, destination) })
}

/// Digits only, and no zero before others.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

pub(super) fn write(addresses: Option<Addresses>) -> Vec<u8> {
    let Some(Addresses { source, destination }) = addresses else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}
