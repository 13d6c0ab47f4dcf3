//! DNS messages, RFC 1035: a question out, an answer in. Pure; whatever arrives, reading it ends and allocates little.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// Bytes of a name on the wire.
const NAME_BYTES_MAX: usize = 255;
/// Pointers that one name may follow.
const JUMPS_MAX: usize = 16;
/// Aliases (CNAME) that are followed within one answer.
const ALIASES_MAX: usize = 8;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 1_024;
/// The longest time to live that means something (RFC 2181, 8).
const TTL_MAX: u32 = i32::MAX as u32;

const CLASS_IN: u16 = 1;
const CNAME: u16 = 5;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
        }
    }
}

/// A name in lower case, without its last dot: `_http._tcp.shop.example`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// A text or a message that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Name, Malformed> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
        if text.len() + 2 > NAME_BYTES_MAX || !text.split('.').all(label) {
            return Err(Malformed("not a host name: labels of letters, digits, '-' and '_', with dots between"));
        }
        Ok(Name(text.to_ascii_lowercase().into()))
    }
}

/// Where a service is, by an SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are meant to be used first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host.
    pub target: Name,
}

/// What a server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// It did not fit; ask again over TCP.
    pub(super) truncated: bool,
    /// 0: fine, 3: there is no such name.
    pub(super) code: u8,
    pub(super) addrs: Vec<IpAddr>,
    pub(super) services: Vec<Service>,
    /// Of the shortest-lived record that counts.
    pub(super) ttl: Duration,
}

/// Writes a question.
pub(super) fn question(id: u16, name: &Name, kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(18 + name.0.len());
    out.extend(id.to_be_bytes());
    // Recursion desired; one question.
    out.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.0.split('.') {
        // 63 at most, by the name's own rule.
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(kind.number().to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out
}

/// Reads the reply to the question with this id; `None` when it answers another one.
///
/// # Errors
/// When it is no reply at all.
pub(super) fn reply(bytes: &[u8], id: u16, name: &Name, kind: Kind) -> Result<Option<Reply>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let (got, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    if got != id || flags & 0x8000 == 0 || questions != 1 {
        return Ok(None);
    }
    let asked = (reader.name()?, reader.u16()?, reader.u16()?);
    if asked != (name.0.to_string(), kind.number(), CLASS_IN) {
        return Ok(None);
    }
    let truncated = flags & 0x0200 != 0;
    let mut reply = Reply { truncated, code: (flags & 0x000F) as u8, ttl: Duration::MAX, ..Reply::default() };
    if !truncated {
        let mut records = Vec::new();
        for _ in 0..usize::from(answers).min(RECORDS_MAX) {
            records.extend(reader.record()?);
        }
        reply.take(&records, name, kind);
    }
    Ok(Some(reply))
}

impl Reply {
    /// Takes what belongs to `name`, along its aliases.
    fn take(&mut self, records: &[Record], name: &Name, kind: Kind) {
        let mut owner: &str = &name.0;
        for _ in 0..=ALIASES_MAX {
            for record in records.iter().filter(|record| record.owner == *owner) {
                match (&record.data, kind) {
                    (Data::Addr(addr), Kind::A) if addr.is_ipv4() => self.addrs.push(*addr),
                    (Data::Addr(addr), Kind::Aaaa) if addr.is_ipv6() => self.addrs.push(*addr),
                    (Data::Service(service), Kind::Srv) => self.services.push(service.clone()),
                    _ => continue,
                }
                self.ttl = self.ttl.min(record.ttl);
            }
            let alias = records.iter().find_map(|record| match &record.data {
                Data::Alias(alias) if record.owner == *owner => Some((alias, record.ttl)),
                _ => None,
            });
            let Some((alias, ttl)) = alias else { return };
            self.ttl = self.ttl.min(ttl);
            owner = alias;
        }
    }
}

struct Record {
    owner: String,
    ttl: Duration,
    data: Data,
}

enum Data {
    Addr(IpAddr),
    Service(Service),
    Alias(String),
}

struct Reader<'m> {
    bytes: &'m [u8],
    at: usize,
}

const SHORT: Malformed = Malformed("it ends too early");

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Malformed> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or(SHORT)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.take(count).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A name, along its pointers, in lower case. Labels that no host has are kept as they are: they match nothing.
    fn name(&mut self) -> Result<String, Malformed> {
        let mut name = String::new();
        let mut reader = Reader { bytes: self.bytes, at: self.at };
        let mut end = None;
        for _ in 0..=JUMPS_MAX {
            let pointer = reader.labels(&mut name)?;
            end.get_or_insert(reader.at);
            match pointer {
                Some(at) => reader.at = at,
                None => {
                    self.at = end.unwrap_or(reader.at);
                    return Ok(name);
                }
            }
        }
        Err(Malformed("a name points around in circles"))
    }

    /// Labels up to the end of the name, or up to a pointer.
    fn labels(&mut self, name: &mut String) -> Result<Option<usize>, Malformed> {
        loop {
            let [length] = self.array()?;
            match length {
                0 => return Ok(None),
                0xC0.. => {
                    let [low] = self.array()?;
                    return Ok(Some(usize::from(u16::from_be_bytes([length & 0x3F, low]))));
                }
                1..=63 => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    let label = self.take(usize::from(length))?;
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    if name.len() > NAME_BYTES_MAX {
                        return Err(Malformed("a name is too long"));
                    }
                }
                _ => return Err(Malformed("a name has a label of an unknown kind")),
            }
        }
    }

    /// One record; `None` for a kind that means nothing here.
    fn record(&mut self) -> Result<Option<Record>, Malformed> {
        let owner = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = match (class, kind, length) {
            (CLASS_IN, 1, 4) => Some(Data::Addr(IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)))),
            (CLASS_IN, 28, 16) => Some(Data::Addr(IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)))),
            (CLASS_IN, CNAME, _) => Some(Data::Alias(self.name()?)),
            (CLASS_IN, 33, 7..) => self.service()?.map(Data::Service),
            _ => None,
        };
        self.at = start;
        self.skip(length)?;
        // A number with its first bit set counts as zero (RFC 2181, 8).
        let ttl = Duration::from_secs(if ttl > TTL_MAX { 0 } else { ttl }.into());
        Ok(data.map(|data| Record { owner, ttl, data }))
    }

    /// `None` for one that says that the service is not offered (`.`), or that names no host.
    fn service(&mut self) -> Result<Option<Service>, Malformed> {
        let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
        let target = self.name()?.parse().ok();
        Ok(target.filter(|_| port != 0).map(|target| Service { priority, weight, port, target }))
    }
}

#[cfg(test)]
mod tests;
