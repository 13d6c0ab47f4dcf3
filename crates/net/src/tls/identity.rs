//! Who a client is by its certificate. Pure.

use rustls::pki_types::CertificateDer;

use super::der::{OID, SEQUENCE, SET, take};

/// A client as its verified certificate names it. Both texts are printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The subject as RFC 4514 writes it: `CN=alice,O=Example`; empty when the certificate has none. Bytes that are not
    /// printable ASCII are written as `\hh`.
    pub subject: String,
    /// The SHA-256 of the certificate, in hex.
    pub sha256: String,
}

impl ClientIdentity {
    /// The identity of a chain, leaf first, that was verified.
    #[must_use]
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<ClientIdentity> {
        let leaf = chain.first()?;
        let certificate = webpki::EndEntityCert::try_from(leaf).ok()?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
        Some(ClientIdentity { subject: subject(certificate.subject())?, sha256: hex(digest.as_ref()) })
    }
}

/// Kinds of strings whose bytes are text: UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Names of the usual attributes by their OID (RFC 4514, 3; RFC 4519).
const NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "1.2.840.113549.1.9.1"),
];

/// A name, from what stands inside its SEQUENCE (or from the SEQUENCE); the last part first, as RFC 4514 has it.
fn subject(der: &[u8]) -> Option<String> {
    let mut rest = match take(der) {
        Some((SEQUENCE, inner, [])) => inner,
        _ => der,
    };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (SET, mut attributes, next) = take(rest)? else { return None };
        rest = next;
        let mut texts = Vec::new();
        while !attributes.is_empty() {
            let (SEQUENCE, attribute, next) = take(attributes)? else { return None };
            attributes = next;
            texts.push(self::attribute(attribute)?);
        }
        parts.push(texts.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(der: &[u8]) -> Option<String> {
    let (OID, oid, value) = take(der)? else { return None };
    let (kind, text, []) = take(value)? else { return None };
    let name = NAMES.iter().find(|(known, _)| *known == oid).map_or_else(|| dotted(oid), |(_, name)| (*name).into());
    let text = if TEXTS.contains(&kind) { escaped(text) } else { format!("#{}", hex(value)) };
    Some(format!("{name}={text}"))
}

/// Text as a value of RFC 4514: what has a meaning there is escaped, and all that is not printable ASCII.
fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in text.iter().enumerate() {
        let edge_space = *byte == b' ' && (at == 0 || at + 1 == text.len());
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if edge_space => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\{other:02x}")),
        }
    }
    out
}

fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0u64;
    for byte in oid {
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    let first = arcs.first().copied().unwrap_or_default();
    let two = [(first / 40).min(2), first - 40 * (first / 40).min(2)];
    let all = two.into_iter().chain(arcs.into_iter().skip(1));
    all.map(|arc| arc.to_string()).collect::<Vec<_>>().join(".")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    fn part(oid: &[u8], kind: u8, text: &[u8]) -> Vec<u8> {
        let attribute = [element(OID, oid), element(kind, text)].concat();
        element(SET, &element(SEQUENCE, &attribute))
    }

    #[test]
    fn a_subject_is_written_from_its_end() {
        let name = [part(&[0x55, 4, 10], 0x0c, b"Example"), part(&[0x55, 4, 3], 0x13, b"alice")].concat();
        assert_eq!(subject(&name).as_deref(), Some("CN=alice,O=Example"));
        assert_eq!(subject(&element(SEQUENCE, &name)).as_deref(), Some("CN=alice,O=Example"));
        assert_eq!(subject(b"").as_deref(), Some(""));
        assert_eq!(subject(&name[..name.len() - 1]), None);
    }

    #[test]
    fn what_could_be_taken_for_another_name_is_escaped() {
        let cn = |text: &[u8]| subject(&part(&[0x55, 4, 3], 0x0c, text)).unwrap();
        assert_eq!(cn(b"a,O=Root+x\\"), "CN=a\\,O=Root\\+x\\\\");
        assert_eq!(cn(b" a b "), "CN=\\ a b\\ ");
        assert_eq!(cn(b"#a\r\nx: y"), "CN=\\#a\\0d\\0ax: y");
        assert_eq!(cn("é".as_bytes()), "CN=\\c3\\a9");
        assert_eq!(subject(&part(&[0x55, 4, 3], 0x1e, &[0, 65])).unwrap(), "CN=#1e020041");
        assert_eq!(subject(&part(&[0x55, 4, 5], 0x13, b"7")).unwrap(), "2.5.4.5=7");
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_stays_printable(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(text) = subject(&bytes) {
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
}
