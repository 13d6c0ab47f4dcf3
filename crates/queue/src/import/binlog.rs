//! The binlog folder of beanstalkd: format 7 of its versions 1.5 and later, as the machine it ran on wrote it (64 bits,
//! little-endian). Source: beanstalkd's `file.c`, `readrec`.
//!
//! A file `binlog.N` begins with the number 7 and holds records: length of the tube's name, the name, a C struct, and the body with
//! its CR LF. A record without a name changes a job that came before; zeros end a file. There is no checksum, so what makes no
//! sense ends the reading of its file, is reported, and the other files are read on.

use std::collections::BTreeMap;

use crate::names::TubeName;

const VERSION: i32 = 7;
const STRUCT_BYTES: usize = 80;

/// A job as the binlog has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its number there; it gets a new one.
    pub id: u64,
    /// Its tube.
    pub tube: String,
    /// Its priority.
    pub pri: u32,
    /// Seconds that a reservation lasts.
    pub ttr_s: u32,
    /// When it is due, in nanoseconds since the epoch; only of a delayed one.
    pub due_ns: Option<u64>,
    /// Whether it was put aside.
    pub buried: bool,
    /// Its body, without the CR LF.
    pub body: Vec<u8>,
}

/// What files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binlog {
    /// The jobs that are left, by their numbers.
    pub jobs: Vec<Imported>,
    /// What could not be read, in sentences.
    pub damage: Vec<String>,
}

/// The number of a file `binlog.N`.
pub fn number(name: &str) -> Option<u64> {
    name.strip_prefix("binlog.")?.parse().ok()
}

/// Reads files in the order of their numbers: each its name and its bytes.
pub fn read<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Binlog {
    let mut jobs = BTreeMap::new();
    let mut damage = Vec::new();
    for (name, bytes) in files {
        if let Err((at, why)) = read_file(bytes, &mut jobs) {
            damage.push(format!("{name}: {why} at byte {at}; what follows in this file is not read"));
        }
    }
    Binlog { jobs: jobs.into_values().collect(), damage }
}

/// Where, and what is wrong there.
type Broken = (usize, String);

fn read_file(bytes: &[u8], jobs: &mut BTreeMap<u64, Imported>) -> Result<(), Broken> {
    let Some(version) = bytes.first_chunk::<4>() else { return Ok(()) };
    match i32::from_le_bytes(*version) {
        VERSION => {}
        // A file that was made and not written to yet.
        0 => return Ok(()),
        other => return Err((0, format!("format {other} instead of {VERSION}"))),
    }
    let mut at = 4;
    while let Some(record) = Record::read(bytes, at)? {
        at += record.len;
        record.apply(jobs);
    }
    Ok(())
}

struct Record<'b> {
    /// Bytes of the whole record.
    len: usize,
    /// The tube and the body, of a full record.
    full: Option<(&'b str, &'b [u8])>,
    id: u64,
    pri: u32,
    ttr_ns: i64,
    deadline_ns: i64,
    state: u8,
}

const INVALID: u8 = 0;
const BURIED: u8 = 3;
const DELAYED: u8 = 4;

impl<'b> Record<'b> {
    /// The record at `at`; `None` at the end of what was written.
    fn read(bytes: &'b [u8], at: usize) -> Result<Option<Record<'b>>, Broken> {
        let broken = |why: &str| (at, why.to_owned());
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((name_len, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let name_len = i32::from_le_bytes(*name_len);
        let name_len = usize::try_from(name_len).ok().filter(|len| *len <= TubeName::BYTES_MAX);
        let name_len = name_len.ok_or_else(|| broken("a name of impossible length"))?;
        let Some((name, rest)) = rest.split_at_checked(name_len) else { return Err(broken("half a name")) };
        let Some((fields, rest)) = rest.split_first_chunk::<STRUCT_BYTES>() else {
            return if rest.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(broken("half a record")) };
        };
        let id = u64::from_le_bytes(field(fields, 0));
        if id == 0 {
            return Ok(None);
        }
        let state = fields[76];
        if state > DELAYED {
            return Err(broken("a job in no known state"));
        }
        let mut len = 4 + name_len + STRUCT_BYTES;
        let full = if name_len > 0 && state != INVALID {
            let name = TubeName::check(name).ok_or_else(|| broken("a name that no tube has"))?;
            let body_len = usize::try_from(i32::from_le_bytes(field(fields, 32))).unwrap_or(usize::MAX);
            let body = rest.get(..body_len).and_then(|body| body.strip_suffix(b"\r\n"));
            len += body_len;
            Some((name, body.ok_or_else(|| broken("a body without its end"))?))
        } else {
            None
        };
        Ok(Some(Record {
            len,
            full,
            id,
            pri: u32::from_le_bytes(field(fields, 8)),
            ttr_ns: i64::from_le_bytes(field(fields, 24)),
            deadline_ns: i64::from_le_bytes(field(fields, 48)),
            state,
        }))
    }

    fn apply(&self, jobs: &mut BTreeMap<u64, Imported>) {
        if self.state == INVALID {
            jobs.remove(&self.id);
            return;
        }
        if let Some((tube, body)) = self.full {
            let (tube, body) = (tube.to_owned(), body.to_vec());
            let job = Imported { id: self.id, tube, pri: 0, ttr_s: 1, due_ns: None, buried: false, body };
            jobs.insert(self.id, job);
        }
        // A change to a job that is gone: its full record was in a file that is gone, too.
        let Some(job) = jobs.get_mut(&self.id) else { return };
        job.pri = self.pri;
        job.ttr_s = u32::try_from(self.ttr_ns / 1_000_000_000).unwrap_or(u32::MAX).max(1);
        job.due_ns = (self.state == DELAYED).then(|| u64::try_from(self.deadline_ns).unwrap_or(0));
        job.buried = self.state == BURIED;
    }
}

fn field<const N: usize>(fields: &[u8; STRUCT_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&fields[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, id: u64, state: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = (name.len() as i32).to_le_bytes().to_vec();
        bytes.extend_from_slice(name.as_bytes());
        let mut fields = [0; STRUCT_BYTES];
        fields[0..8].copy_from_slice(&id.to_le_bytes());
        fields[8..12].copy_from_slice(&7u32.to_le_bytes());
        fields[24..32].copy_from_slice(&60_000_000_000i64.to_le_bytes());
        fields[32..36].copy_from_slice(&(body.len() as i32).to_le_bytes());
        fields[48..56].copy_from_slice(&5i64.to_le_bytes());
        fields[76] = state;
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(body);
        bytes
    }

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        [VERSION.to_le_bytes().to_vec(), records.concat(), vec![0; 300]].concat()
    }

    #[test]
    fn the_last_word_on_a_job_counts() {
        let first =
            file(&[record("mail", 1, 1, b"a\r\n"), record("mail", 2, 1, b"b\r\n"), record("mail", 3, 4, b"c\r\n")]);
        let second = file(&[
            record("", 1, INVALID, b""),
            record("", 2, 2, b""),
            record("", 9, 1, b""),
            record("", 2, BURIED, b""),
        ]);
        let read = read([("binlog.1", &first[..]), ("binlog.2", &second[..])]);
        assert_eq!(read.damage, [""; 0]);
        let told: Vec<_> =
            read.jobs.iter().map(|job| (job.id, job.buried, job.due_ns, job.ttr_s, &job.body[..])).collect();
        assert_eq!(told, [(2, true, None, 60, &b"b"[..]), (3, false, Some(5), 60, &b"c"[..])]);
    }

    #[test]
    fn what_makes_no_sense_ends_its_file_and_is_told() {
        let good = file(&[record("mail", 1, 1, b"a\r\n")]);
        let mut bad = file(&[record("mail", 2, 1, b"b\r\n"), record("mail", 3, 1, b"no end")]);
        bad.truncate(300);
        let old = [5, 0, 0, 0, 1, 2, 3];
        let read = read([("binlog.1", &bad[..]), ("binlog.2", &old[..]), ("binlog.3", &good[..])]);
        assert_eq!(read.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(read.damage.len(), 2);
        assert!(read.damage[0].starts_with("binlog.1: a body without its end at byte"), "{:?}", read.damage);
        assert!(read.damage[1].starts_with("binlog.2: format 5"), "{:?}", read.damage);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let file = [&VERSION.to_le_bytes()[..], &bytes].concat();
            read([("binlog.1", &file[..])]);
        }
    }
}
