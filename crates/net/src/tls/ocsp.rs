//! OCSP responses (RFC 6960) that go out with a certificate, from a file beside it. They are passed on, not checked:
//! whether one is true is for clients, who have its signer's certificate.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use stdx::clock::Wall;

use super::der::{self, ENUMERATED, GENERAL_TIME, OCTETS, OID, SEQUENCE, context};

/// The longest response that is sent along: real ones take about 500 bytes, with their signer's certificate 2 KiB.
const BYTES_MAX: u64 = 16 << 10;

/// A response, and until when it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staple {
    pub(super) response: Vec<u8>,
    /// `nextUpdate`, in seconds since 1970; the earliest of all that it says.
    pub(super) until_s: Option<u64>,
}

/// The file that is looked for beside a certificate's: `site.pem.ocsp`.
pub(super) fn beside(chain: &Path) -> PathBuf {
    let mut path = chain.as_os_str().to_os_string();
    path.push(".ocsp");
    path.into()
}

/// Why a response is not sent along.
#[derive(Debug, thiserror::Error)]
pub(super) enum StapleError {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLong,
    #[error("it is no OCSP response in DER form, or one without an answer")]
    Malformed,
    #[error("its time is over")]
    Stale,
}

/// Reads the response of a file; `None` where there is no file.
pub(super) fn read(path: &Path, now: Wall) -> Result<Option<Staple>, StapleError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut response = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut response)?;
    if response.len() as u64 > BYTES_MAX {
        return Err(StapleError::TooLong);
    }
    let staple = staple(response).ok_or(StapleError::Malformed)?;
    let is_stale = staple.until_s.is_some_and(|until_s| until_s <= now.millis() / 1_000);
    if is_stale { Err(StapleError::Stale) } else { Ok(Some(staple)) }
}

/// A response in DER form; `None` for what is none, or one that says that there is no answer.
fn staple(response: Vec<u8>) -> Option<Staple> {
    let until_s = until(&response)?;
    Some(Staple { response, until_s })
}

/// `OCSPResponse` (4.2.1), down to the `nextUpdate` of each `SingleResponse`.
fn until(response: &[u8]) -> Option<Option<u64>> {
    let mut whole = response;
    let mut outer = der::next(&mut whole, SEQUENCE)?;
    if der::next(&mut outer, ENUMERATED)? != [0] || !whole.is_empty() {
        return None;
    }
    let mut bytes = der::next(&mut outer, context(0))?;
    let mut bytes = der::next(&mut bytes, SEQUENCE)?;
    der::next(&mut bytes, OID)?;
    let mut basic = der::next(&mut bytes, OCTETS)?;
    let mut basic = der::next(&mut basic, SEQUENCE)?;
    let mut data = der::next(&mut basic, SEQUENCE)?;
    der::next_if(&mut data, context(0));
    // Who answers: by name or by key.
    let (_, _, rest) = der::take(data)?;
    data = rest;
    der::next(&mut data, GENERAL_TIME)?;
    let mut singles = der::next(&mut data, SEQUENCE)?;
    let mut earliest = None;
    while !singles.is_empty() {
        let mut single = der::next(&mut singles, SEQUENCE)?;
        der::next(&mut single, SEQUENCE)?;
        let (_status, _, rest) = der::take(single)?;
        single = rest;
        der::next_time(&mut single)?;
        if let Some(mut next) = der::next_if(&mut single, context(0)) {
            let next = der::next_time(&mut next)?;
            earliest = Some(earliest.map_or(next, |known: u64| known.min(next)));
        }
    }
    Some(earliest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, 0x82, u8::try_from(content.len() >> 8).unwrap(), (content.len() & 255) as u8][..], &content].concat()
    }

    /// A response about certificates whose `nextUpdate` is these.
    fn response(status: u8, until: &[&str]) -> Vec<u8> {
        let time = |text: &str| element(GENERAL_TIME, &[text.as_bytes()]);
        let single = |until: &&str| {
            let next = if until.is_empty() { Vec::new() } else { element(context(0), &[&time(until)]) };
            element(SEQUENCE, &[&element(SEQUENCE, &[]), &[0x80, 0], &time("20260101000000Z"), &next])
        };
        let singles: Vec<Vec<u8>> = until.iter().map(single).collect();
        let singles = element(SEQUENCE, &singles.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let data = element(SEQUENCE, &[&element(context(2), &[]), &time("20260101000000Z"), &singles]);
        let basic = element(OCTETS, &[&element(SEQUENCE, &[&data])]);
        let bytes = element(SEQUENCE, &[&element(OID, &[&[1]]), &basic]);
        element(SEQUENCE, &[&[ENUMERATED, 1, status], &element(context(0), &[&bytes])])
    }

    #[test]
    fn a_response_holds_until_its_next_update() {
        let until_s = |until: &[&str]| staple(response(0, until)).unwrap().until_s;
        assert_eq!(until_s(&["20260108000000Z"]), Some(1_767_830_400));
        assert_eq!(until_s(&["20260109000000Z", "20260108000000Z"]), Some(1_767_830_400));
        assert_eq!(until_s(&[""]), None);
    }

    #[test]
    fn what_is_no_answer_is_no_staple() {
        assert_eq!(staple(response(3, &[""])), None, "tryLater");
        assert_eq!(staple(b"<html>".to_vec()), None);
        assert_eq!(staple(vec![0x30, 3, 0x0a, 1, 0]), None);
        assert_eq!(beside(Path::new("/etc/site.pem")), Path::new("/etc/site.pem.ocsp"));
    }

    #[test]
    fn a_file_is_read_within_its_limits_and_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.pem.ocsp");
        let at = |s: u64| read(&path, Wall::from_millis(s * 1_000));
        assert!(matches!(at(0), Ok(None)));
        std::fs::write(&path, response(0, &["20260108000000Z"])).unwrap();
        assert!(matches!(at(1_767_830_399), Ok(Some(_))) && matches!(at(1_767_830_400), Err(StapleError::Stale)));
        std::fs::write(&path, "no").unwrap();
        assert!(matches!(at(0), Err(StapleError::Malformed)));
        std::fs::write(&path, vec![0x30; (BYTES_MAX + 1) as usize]).unwrap();
        assert!(matches!(at(0), Err(StapleError::TooLong)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(at in 0..200_usize, bytes in prop::collection::vec(any::<u8>(), 1..8)) {
            let mut broken = response(0, &["20260108000000Z"]);
            let at = at % broken.len();
            broken.splice(at..(at + bytes.len()).min(broken.len()), bytes);
            staple(broken);
        }
    }
}
