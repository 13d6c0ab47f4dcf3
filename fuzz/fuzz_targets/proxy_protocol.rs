//! Any bytes as the beginning of a connection with a PROXY protocol header: read whole or not at all, the same however they
//! come in pieces, and what was read is read again from what is written of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::proxy_protocol::{V1_BYTES_MAX, V2_BYTES_MAX, parse, write_v1, write_v2};

fuzz_target!(|bytes: &[u8]| {
    let read = parse(bytes);
    for cut in 0..bytes.len().min(300) {
        match (parse(&bytes[..cut]), &read) {
            (Ok(None), _) => {}
            // What a part decides, more does not change.
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(&early, late),
            (Err(early), Err(late)) => assert_eq!(early, *late),
            (early, late) => panic!("{early:?} of {cut} bytes, {late:?} of all"),
        }
    }
    let Ok(Some((header, length))) = read else { return };
    let most = if bytes.starts_with(b"PROXY ") { V1_BYTES_MAX } else { V2_BYTES_MAX };
    assert!(length <= bytes.len() && length <= most, "{length}");
    for written in [write_v1(header.addresses), write_v2(header.addresses)] {
        let (again, whole) = parse(&written).unwrap().unwrap();
        assert_eq!((again.addresses, whole), (header.addresses, written.len()));
    }
});
