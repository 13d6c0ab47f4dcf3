//! DNS messages byte by byte, and bytes that are none.

use super::*;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A reply to the question for `shop.example`, with these records after it. The question's name begins at byte 12.
fn answering(kind: Kind, flags: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = question(7, &name("shop.example"), kind);
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    records.iter().for_each(|record| bytes.extend(*record));
    bytes
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

const OWNER: &[u8] = &[0xC0, 12];

fn read(bytes: &[u8], kind: Kind) -> Result<Option<Reply>, Malformed> {
    reply(bytes, 7, &name("shop.example"), kind)
}

#[test]
fn a_question_as_the_rfc_draws_it() {
    let bytes = question(0x1234, &name("a.b"), Kind::Srv);
    assert_eq!(bytes, [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 1, b'b', 0, 0, 33, 0, 1]);
}

#[test]
fn addresses_come_with_the_shortest_time_and_along_aliases() {
    let alias = record(OWNER, 5, 30, &[3, b'w', b'w', b'w', 0xC0, 12]);
    let addr = |last: u8, ttl| record(&[3, b'W', b'w', b'w', 0xC0, 12], 1, ttl, &[10, 0, 0, last]);
    let stranger = record(&[5, b'o', b't', b'h', b'e', b'r', 0], 1, 1, &[10, 9, 9, 9]);
    let bytes = answering(Kind::A, 0x8180, &[&alias, &addr(1, 60), &stranger, &addr(2, 20)]);
    let reply = read(&bytes, Kind::A).unwrap().unwrap();
    assert_eq!(reply.addrs, ["10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.2".parse().unwrap()]);
    assert_eq!((reply.ttl, reply.code, reply.truncated), (Duration::from_secs(20), 0, false));
}

#[test]
fn services_name_priority_weight_port_and_host() {
    let service = record(OWNER, 33, 5, &[0, 1, 0, 20, 0x1F, 0x90, 1, b'n', 0xC0, 12]);
    let none = record(OWNER, 33, 5, &[0, 0, 0, 0, 0, 0, 0]);
    let reply = read(&answering(Kind::Srv, 0x8180, &[&service, &none]), Kind::Srv).unwrap().unwrap();
    let one = Service { priority: 1, weight: 20, port: 8_080, target: name("n.shop.example") };
    assert_eq!(reply.services, [one]);
}

#[test]
fn what_answers_another_question_is_no_answer() {
    let addr = record(OWNER, 1, 60, &[10, 0, 0, 1]);
    let good = answering(Kind::A, 0x8180, &[&addr]);
    assert!(read(&good, Kind::Aaaa).unwrap().is_none());
    assert_eq!(reply(&good, 8, &name("shop.example"), Kind::A), Ok(None));
    assert_eq!(reply(&good, 7, &name("shop.other"), Kind::A), Ok(None));
    assert_eq!(read(&question(7, &name("shop.example"), Kind::A), Kind::A), Ok(None), "a question is none");
}

#[test]
fn codes_and_truncation_are_seen_and_a_time_with_its_first_bit_set_is_none() {
    assert_eq!(read(&answering(Kind::A, 0x8183, &[]), Kind::A).unwrap().unwrap().code, 3);
    assert!(read(&answering(Kind::A, 0x8380, &[]), Kind::A).unwrap().unwrap().truncated);
    let odd = record(OWNER, 1, u32::MAX, &[10, 0, 0, 1]);
    assert_eq!(read(&answering(Kind::A, 0x8180, &[&odd]), Kind::A).unwrap().unwrap().ttl, Duration::ZERO);
}

#[test]
fn names_that_circle_or_run_over_the_end_are_refused() {
    let start = u8::try_from(question(7, &name("shop.example"), Kind::A).len()).unwrap();
    let circle = record(&[0xC0, start], 1, 1, &[10, 0, 0, 1]);
    assert!(read(&answering(Kind::A, 0x8180, &[&circle]), Kind::A).is_err());
    let beyond = record(&[0xFF, 0xFF], 1, 1, &[10, 0, 0, 1]);
    assert!(read(&answering(Kind::A, 0x8180, &[&beyond]), Kind::A).is_err());
    for bad in ["", ".", "a..b", "a b", "ü.de", &"a".repeat(64), &["abc"; 80].join(".")] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
    assert_eq!(name("_HTTP._tcp.Shop.").as_str(), "_http._tcp.shop");
}

proptest! {
    #[test]
    fn reading_ends_whatever_comes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut message = answering(Kind::Srv, 0x8180, &[&bytes]);
        message[7] = 9;
        if let Ok(Some(reply)) = read(&message, Kind::Srv) {
            prop_assert!(reply.services.len() <= bytes.len());
        }
        prop_assert!(reply(&bytes, 7, &name("shop.example"), Kind::A).is_err() || bytes.len() > 4);
    }

    #[test]
    fn every_address_that_is_sent_is_read(addrs in prop::collection::vec(any::<u128>(), 0..20), ttl in 0u32..100_000) {
        let records: Vec<Vec<u8>> = addrs.iter().map(|addr| record(OWNER, 28, ttl, &addr.to_be_bytes())).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let reply = read(&answering(Kind::Aaaa, 0x8180, &records), Kind::Aaaa).unwrap().unwrap();
        let sent: Vec<IpAddr> = addrs.iter().map(|addr| Ipv6Addr::from(*addr).into()).collect();
        prop_assert_eq!(reply.addrs, sent);
        prop_assert_eq!(reply.ttl, if addrs.is_empty() { Duration::MAX } else { Duration::from_secs(ttl.into()) });
    }
}
