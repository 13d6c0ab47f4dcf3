//! The PROXY protocol, versions 1 and 2 (haproxy `doc/proxy-protocol.txt`): who the client is, said by a balancer in front of
//! the first byte of a connection. Pure: bytes in, addresses out, and the other way.
//!
//! Only a peer that is trusted may send it, and from such a peer it is demanded, never guessed: whether a connection begins
//! with it is configuration, because a client could write it as well.

mod read;
mod v1;
mod v2;

pub use read::{ReadError, read};

use std::net::SocketAddr;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The client's address and the one that it connected to; `None` for the balancer's own connections (health checks)
    /// and for families that are not TCP over IP: then the addresses of the connection itself count.
    pub addresses: Option<Addresses>,
    /// Type and value of each extension, version 2 only.
    pub extensions: Vec<(u8, Vec<u8>)>,
}

/// The two ends of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// Why the bytes are no header. The connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The connection begins with something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Absent,
    /// It begins like a header and goes on wrongly.
    #[error("the PROXY protocol header is malformed")]
    Malformed,
    /// A version or command that does not exist.
    #[error("the PROXY protocol header is of an unknown version or command")]
    Unknown,
    /// A version 2 header of more than [`V2_BYTES_MAX`].
    #[error("the PROXY protocol header is longer than {V2_BYTES_MAX} bytes")]
    TooLong,
}

/// Version 1 fits in so many bytes, line end included.
pub const V1_BYTES_MAX: usize = 107;
/// Version 2 could have 64 KiB; nobody sends a tenth of this.
pub const V2_BYTES_MAX: usize = 4096;

/// Reads a header from the beginning of a connection: the header and its length, or `None` when more bytes are needed.
///
/// # Errors
/// When the bytes can no longer become a header.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    if begins_alike(bytes, &v2::SIGNATURE) {
        return if bytes.len() < v2::SIGNATURE.len() { Ok(None) } else { v2::parse(bytes) };
    }
    if begins_alike(bytes, v1::SIGNATURE) {
        return if bytes.len() < v1::SIGNATURE.len() { Ok(None) } else { v1::parse(bytes) };
    }
    Err(ProxyError::Absent)
}

/// The header of version 1.
#[must_use]
pub fn write_v1(addresses: Option<Addresses>) -> Vec<u8> {
    v1::write(addresses.map(of_one_family))
}

/// The header of version 2, without extensions.
#[must_use]
pub fn write_v2(addresses: Option<Addresses>) -> Vec<u8> {
    v2::write(addresses.map(of_one_family))
}

fn begins_alike(bytes: &[u8], signature: &[u8]) -> bool {
    let shorter = bytes.len().min(signature.len());
    bytes[..shorter] == signature[..shorter]
}

/// Both ends in one family: an IPv4 address beside an IPv6 one is written as the latter.
fn of_one_family(addresses: Addresses) -> Addresses {
    let Addresses { source, destination } = addresses;
    if source.is_ipv4() == destination.is_ipv4() {
        return addresses;
    }
    let mapped = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    };
    Addresses { source: mapped(source), destination: mapped(destination) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(source: &str, destination: &str) -> Addresses {
        Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn read(bytes: &[u8]) -> Result<Option<(Option<Addresses>, usize)>, ProxyError> {
        parse(bytes).map(|found| found.map(|(header, length)| (header.addresses, length)))
    }

    #[test]
    fn version_1() {
        let v4 = addresses("192.0.2.1:56324", "192.0.2.2:443");
        assert_eq!(write_v1(Some(v4)), b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
        assert_eq!(read(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /"), Ok(Some((Some(v4), 42))));
        let v6 = addresses("[2001:db8::1]:1", "[2001:db8::2]:65535");
        assert_eq!(read(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), Ok(Some((Some(v6), 44))));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), Ok(Some((None, 15))));
        assert_eq!(read(b"PROXY UNKNOWN ff 1 2 whatever\r\n"), Ok(Some((None, 31))));
        for text in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 0443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\n",
        ] {
            let ended = format!("{text}{}", " ".repeat(V1_BYTES_MAX));
            assert_eq!(read(ended.as_bytes()), Err(ProxyError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn version_2() {
        let v4 = addresses("192.0.2.1:56324", "192.0.2.2:443");
        let mut bytes = write_v2(Some(v4));
        assert_eq!(bytes[12..], *b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb");
        // An extension: PP2_TYPE_AUTHORITY with a host name.
        bytes[15] += 6;
        bytes.extend(b"\x02\x00\x03a.b");
        let header = Header { addresses: Some(v4), extensions: vec![(2, b"a.b".to_vec())] };
        assert_eq!(parse(&bytes), Ok(Some((header, 34))));
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!((read(local), write_v2(None)), (Ok(Some((None, 16))), local.to_vec()));
        let mut unix = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8".to_vec();
        unix.extend([0; 216]);
        assert_eq!(read(&unix), Ok(Some((None, 232))));
    }

    #[test]
    fn version_2_that_is_wrong() {
        let of = |tail: &[u8]| {
            let bytes = [b"\r\n\r\n\0\r\nQUIT\n", tail].concat();
            read(&bytes)
        };
        assert_eq!(of(b"\x11\x11\x00\x0c"), Err(ProxyError::Unknown));
        assert_eq!(of(b"\x22\x11\x00\x0c"), Err(ProxyError::Unknown));
        assert_eq!(of(b"\x21\x11\xff\xff"), Err(ProxyError::TooLong));
        assert_eq!(of(b"\x21\x11\x00\x04\0\0\0\0"), Err(ProxyError::Malformed), "too short for its addresses");
        assert_eq!(of(b"\x20\x00\x00\x04\x02\x00\x09a"), Ok(Some((None, 20))), "nothing of a LOCAL one is read");
        assert_eq!(of(b"\x21\x00\x00\x04\x02\x00\x09a"), Err(ProxyError::Malformed), "an extension beyond the end");
    }

    #[test]
    fn mixed_families_are_written_as_one() {
        let mixed = addresses("192.0.2.1:1", "[2001:db8::2]:2");
        let written = read(&write_v1(Some(mixed))).unwrap().unwrap().0.unwrap();
        assert_eq!(written, addresses("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_whatever_follows(
            source: SocketAddr, destination: SocketAddr, rest in prop::collection::vec(any::<u8>(), 0..20)
        ) {
            let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
            let addresses = Addresses { source: plain(source), destination: plain(destination) };
            for header in [write_v1(Some(addresses)), write_v2(Some(addresses))] {
                for cut in 0..header.len() {
                    prop_assert_eq!(parse(&header[..cut]), Ok(None));
                }
                let bytes = [header.clone(), rest.clone()].concat();
                prop_assert_eq!(read(&bytes), Ok(Some((Some(of_one_family(addresses)), header.len()))));
            }
        }

        #[test]
        fn garbage_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200), is_v2: bool, is_v1: bool
        ) {
            let begin: &[u8] = if is_v2 { &v2::SIGNATURE } else if is_v1 { v1::SIGNATURE } else { b"" };
            let bytes = [begin, &bytes].concat();
            if let Ok(Some((_, length))) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
