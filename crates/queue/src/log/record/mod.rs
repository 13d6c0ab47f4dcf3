//! The records of the queue's log, format 1. Numbers are little-endian.
//!
//! | kind | record | payload |
//! |---|---|---|
//! | 1 | put | job |
//! | 2 | moved: the job as it is now, copied forward by compaction | job |
//! | 3 | deleted | id u64 |
//! | 4 | released | id u64, pri u32, delay in s u32, due in ms u64 (0: ready), attributes |
//! | 5 | buried | id u64, pri u32, attributes |
//! | 6 | kicked | id u64, repeated |
//! | 7 | reserved | id u64, times u32 |
//! | 8 | lease over | id u64, times u32, due in ms u64 (0: ready, all ones: buried) |
//! | 9 | paused | namespace, tube, asked in ms u64, until in ms u64, attributes (1: who, 2: why) |
//! | 10 | totals of a tube | namespace, tube, attributes |
//! | 11 | totals of a namespace | namespace, attributes |
//! | 12 | ids below this are used up | next id u64 |
//! | 32 to 35 | what becomes of jobs that are not simply finished, and keys | see `fate` |
//! | 40 | last tick of a periodic job | namespace, name, in ms u64 (0: forgotten) |
//!
//! A job is: id u64, created in ms u64, due in ms u64 (0: ready), pri u32, ttr in s u32, delay in s u32, body length u32,
//! namespace, tube, length of the attributes u32, attributes, body. Namespace and tube are a length in one byte and text; the
//! shared namespace is the empty text, that of an application is `app/environment`. Times in ms are of the wall clock.
//! Attributes are those of [`wal::attr`]; a reader skips the tags it does not know, and compaction copies them.

mod fate;
mod ids;
mod job;
mod more;
mod note;
mod tick;
mod totals;

use wal::attr;

use crate::engine::{After, Totals};
use crate::names::{JobId, Namespace, TubeName};
pub(crate) use fate::Fate;
pub(crate) use ids::Ids;
pub(crate) use job::{Attrs, JobRecord, job_id, unknown_attrs};
pub(crate) use note::{decode_note, encode_note};
pub(crate) use tick::TickRecord;
pub(crate) use totals::{decode_totals, encode_totals};

/// The due time that says buried in a "lease over" record.
const BURIED: u64 = u64::MAX;

/// A tube by name, as records say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TubeRef<'a> {
    pub(crate) space: &'a str,
    pub(crate) tube: &'a str,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record<'a> {
    Put(JobRecord<'a>),
    Moved(JobRecord<'a>),
    Deleted { id: JobId },
    Released { id: JobId, pri: u32, delay_s: u32, due_ms: u64 },
    Buried { id: JobId, pri: u32 },
    Kicked { ids: Ids<'a> },
    Reserved { id: JobId, times: u32 },
    LeaseOver { id: JobId, times: u32, after: After },
    Paused { at: TubeRef<'a>, asked_ms: u64, until_ms: u64, by: &'a str, why: &'a str },
    TubeTotals { at: TubeRef<'a>, totals: Totals },
    SpaceTotals { space: &'a str, totals: Totals },
    NextId { id: JobId },
    ClockSet { ahead_ms: i64 },
    Ticked(TickRecord<'a>),
    Fate(Fate<'a>),
}

/// The bytes are no record of format 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of the queue's log, format 1")]
pub(crate) struct Malformed;

impl From<attr::Malformed> for Malformed {
    fn from(_: attr::Malformed) -> Malformed {
        Malformed
    }
}

impl Record<'_> {
    /// Writes the payload (of a job: all but the body) behind what `out` holds, and returns the kind.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Record::Put(job) => {
                job.encode(out);
                1
            }
            Record::Moved(job) => {
                job.encode(out);
                2
            }
            Record::Deleted { id } => put_id(out, *id, 3),
            Record::Released { id, pri, delay_s, due_ms } => {
                put_u64(out, id.0);
                put_u32(out, *pri);
                put_u32(out, *delay_s);
                put_u64(out, *due_ms);
                4
            }
            Record::Buried { id, pri } => {
                put_u64(out, id.0);
                put_u32(out, *pri);
                5
            }
            Record::Kicked { ids } => {
                ids.to_vec().iter().for_each(|id| put_u64(out, id.0));
                6
            }
            Record::Reserved { id, times } => {
                put_u64(out, id.0);
                put_u32(out, *times);
                7
            }
            Record::LeaseOver { id, times, after } => {
                put_u64(out, id.0);
                put_u32(out, *times);
                put_u64(out, after.to_due());
                8
            }
            Record::Paused { at, asked_ms, until_ms, by, why } => {
                at.encode(out);
                put_u64(out, *asked_ms);
                put_u64(out, *until_ms);
                encode_note(out, by, why);
                9
            }
            Record::TubeTotals { at, totals } => {
                at.encode(out);
                encode_totals(out, totals);
                10
            }
            Record::SpaceTotals { space, totals } => {
                put_text(out, space);
                encode_totals(out, totals);
                11
            }
            Record::NextId { id } => put_id(out, *id, 12),
            Record::ClockSet { ahead_ms } => put_id(out, JobId(ahead_ms.cast_unsigned()), 13),
            Record::Ticked(tick) => tick.encode(out),
            Record::Fate(fate) => fate.encode(out),
        }
    }

    /// Reads a payload.
    pub(crate) fn decode(kind: u8, payload: &[u8]) -> Result<Record<'_>, Malformed> {
        let mut input = Input(payload);
        let record = match kind {
            1 => Record::Put(JobRecord::decode(&mut input)?),
            2 => Record::Moved(JobRecord::decode(&mut input)?),
            3 => Record::Deleted { id: input.id()? },
            4 => Record::Released { id: input.id()?, pri: input.u32()?, delay_s: input.u32()?, due_ms: input.u64()? },
            5 => Record::Buried { id: input.id()?, pri: input.u32()? },
            6 if payload.len().is_multiple_of(8) => Record::Kicked { ids: Ids::Raw(payload) },
            7 => Record::Reserved { id: input.id()?, times: input.u32()? },
            8 => Record::LeaseOver { id: input.id()?, times: input.u32()?, after: After::from_due(input.u64()?) },
            9 => {
                let (at, asked_ms, until_ms) = (input.tube()?, input.u64()?, input.u64()?);
                let (by, why) = decode_note(input.0)?;
                Record::Paused { at, asked_ms, until_ms, by, why }
            }
            10 => Record::TubeTotals { at: input.tube()?, totals: decode_totals(input.0)? },
            11 => Record::SpaceTotals { space: input.text()?, totals: decode_totals(input.0)? },
            12 => Record::NextId { id: input.id()? },
            13 => Record::ClockSet { ahead_ms: input.u64()?.cast_signed() },
            40 => Record::Ticked(TickRecord::decode(&mut input)?),
            32..=35 => Record::Fate(Fate::decode(kind, &mut input)?),
            _ => return Err(Malformed),
        };
        Ok(record)
    }
}

impl After {
    fn to_due(self) -> u64 {
        match self {
            After::Ready => 0,
            After::Delayed { until_ms } => until_ms,
            After::Buried => BURIED,
        }
    }

    fn from_due(due: u64) -> After {
        match due {
            0 => After::Ready,
            BURIED => After::Buried,
            until_ms => After::Delayed { until_ms },
        }
    }
}

impl TubeRef<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.space);
        put_text(out, self.tube);
    }
}

/// The namespace as records spell it.
pub(crate) fn space_text(space: &Namespace) -> String {
    space.0.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The namespace that a record spells.
pub(crate) fn space_from_text(text: &str) -> Result<Namespace, Malformed> {
    if text.is_empty() { Ok(Namespace::SHARED) } else { Ok(Namespace(Some(text.parse().map_err(|_| Malformed)?))) }
}

/// A record that is one number and nothing else, mostly an id.
fn put_id(out: &mut Vec<u8>, id: JobId, kind: u8) -> u8 {
    put_u64(out, id.0);
    kind
}

pub(crate) fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names are shorter than 256 bytes"));
    out.extend_from_slice(text.as_bytes());
}

/// What is left to read of a payload.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?))
    }

    pub(crate) fn id(&mut self) -> Result<JobId, Malformed> {
        self.u64().map(JobId)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.take(1)?[0];
        std::str::from_utf8(self.take(usize::from(len))?).map_err(|_| Malformed)
    }

    pub(crate) fn tube(&mut self) -> Result<TubeRef<'a>, Malformed> {
        let space = self.text()?;
        let tube = TubeName::check(self.text()?.as_bytes()).ok_or(Malformed)?;
        Ok(TubeRef { space, tube })
    }
}

#[cfg(test)]
mod tests {
    use wal::attr::Encoder;

    use super::*;
    use crate::engine::Counts;

    fn back(record: &Record<'_>) {
        let mut bytes = Vec::new();
        let kind = record.encode(&mut bytes);
        assert_eq!(Record::decode(kind, &bytes).as_ref(), Ok(record));
    }

    #[test]
    fn every_record_is_read_back_as_it_was_written() {
        let at = TubeRef { space: "shop/production", tube: "orders" };
        let shared = TubeRef { space: "", tube: "default" };
        let totals = Totals { jobs: 5, deletes: 3, pauses: 1, timeouts: 2, releases: 7, failures: 6 };
        let attrs = Attrs {
            trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok(),
            counts: Counts { reserves: 1, timeouts: 2, releases: 3, buries: 4, kicks: 5 },
            buried_turn: Some(9),
            tick: Some(("report", 1_800_000_000_000)),
            is_damaged: true,
            more: Some(Box::new(more::tests::full())),
            others: &[],
        };
        let (id, pri, delay_s, due_ms) = (JobId(7), 3, 60, 1_800_000_000_000);
        let body_len = 0;
        let job = JobRecord { id, created_ms: 17, due_ms, pri, ttr_s: 60, delay_s, body_len, at: at.clone(), attrs };
        back(&Record::Put(job.clone()));
        back(&Record::Moved(JobRecord { at: shared, attrs: Attrs::default(), ..job }));
        back(&Record::Deleted { id });
        back(&Record::Released { id, pri, delay_s, due_ms });
        back(&Record::Buried { id, pri });
        back(&Record::Reserved { id, times: 4 });
        for after in [After::Ready, After::Buried, After::Delayed { until_ms: due_ms }] {
            back(&Record::LeaseOver { id, times: 1, after });
        }
        for (by, why) in [("", ""), ("ann", "the shop moves")] {
            back(&Record::Paused { at: at.clone(), asked_ms: 5000, until_ms: due_ms, by, why });
        }
        back(&Record::TubeTotals { at, totals });
        back(&Record::SpaceTotals { space: "", totals });
        back(&Record::NextId { id });
        back(&Record::ClockSet { ahead_ms: -86_400_000 });
        back(&Record::Ticked(TickRecord { space: "shop/production", name: "report", tick_ms: due_ms }));
    }

    #[test]
    fn an_attribute_of_a_later_version_is_skipped_and_copied_forward() {
        let mut others = Vec::new();
        Encoder::new(&mut others).str(2, "a deadline").str(77, "what the future holds");
        let at = TubeRef { space: "", tube: "t" };
        let attrs = Attrs { counts: Counts { reserves: 1, ..Counts::default() }, others: &others, ..Attrs::default() };
        let job =
            JobRecord { id: JobId(1), created_ms: 0, due_ms: 0, pri: 0, ttr_s: 1, delay_s: 0, body_len: 2, at, attrs };
        let mut payload = Vec::new();
        Record::Put(job).encode(&mut payload);
        payload.extend_from_slice(b"hi");
        let Ok(Record::Put(read)) = Record::decode(1, &payload) else { panic!("not a put") };
        assert_eq!(read.attrs.counts.reserves, 1);
        assert_eq!(unknown_attrs(&payload), Ok(others));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(kind in 0u8..42, bytes: Vec<u8>) {
            if let Ok(record) = Record::decode(kind, &bytes) {
                let mut again = Vec::new();
                record.encode(&mut again);
            }
        }
    }
}
