//! The record of a job: what is fixed, and the attributes that only some jobs have.

use stdx::trace::{SpanId, TraceContext, TraceId};
use wal::attr::{self, Encoder};

use super::tick;
use super::{Input, Malformed, TubeRef, more, put_u32, put_u64};
use crate::engine::{Counts, Facts, More};
use crate::names::JobId;

/// Tags of the attributes of a job. 3, 4 and 11 to 18 stand in [`super::more`]; 2 is kept for a deadline.
mod tag {
    pub(super) const TRACE: u8 = 1;
    pub(super) const RESERVES: u8 = 5;
    pub(super) const TIMEOUTS: u8 = 6;
    pub(super) const RELEASES: u8 = 7;
    pub(super) const BURIES: u8 = 8;
    pub(super) const KICKS: u8 = 9;
    pub(super) const BURIED_TURN: u8 = 10;
    /// Only of a "put": the tick that the job was put for.
    pub(super) const TICK: u8 = 40;
    pub(super) const DAMAGED: u8 = 32;
}

/// Bytes that a job's record has beside names, attributes and body.
const JOB_FIXED: usize = 8 * 3 + 4 * 4;

/// A job without its body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobRecord<'a> {
    pub(crate) id: JobId,
    pub(crate) created_ms: u64,
    /// 0 when it is not delayed.
    pub(crate) due_ms: u64,
    pub(crate) pri: u32,
    pub(crate) ttr_s: u32,
    pub(crate) delay_s: u32,
    pub(crate) body_len: u32,
    pub(crate) at: TubeRef<'a>,
    pub(crate) attrs: Attrs<'a>,
}

/// The attributes of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attrs<'a> {
    pub(crate) trace: Option<TraceContext>,
    pub(crate) counts: Counts,
    pub(crate) buried_turn: Option<u64>,
    /// The periodic job and its tick that the job was put for. Compaction leaves it out: it is written again by itself.
    pub(crate) tick: Option<(&'a str, u64)>,
    /// The body was lost to damage.
    pub(crate) is_damaged: bool,
    pub(crate) more: Option<Box<More>>,
    /// Encoded attributes that are not understood here and only passed on.
    pub(crate) others: &'a [u8],
}

impl JobRecord<'_> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.id.0);
        put_u64(out, self.created_ms);
        put_u64(out, self.due_ms);
        for number in [self.pri, self.ttr_s, self.delay_s, self.body_len] {
            put_u32(out, number);
        }
        self.at.encode(out);
        let len_at = out.len();
        put_u32(out, 0);
        self.attrs.encode(out);
        let len = (out.len() - len_at - 4) as u32;
        out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
    }

    pub(super) fn decode<'a>(input: &mut Input<'a>) -> Result<JobRecord<'a>, Malformed> {
        if input.0.len() < JOB_FIXED {
            return Err(Malformed);
        }
        let (id, created_ms, due_ms) = (input.id()?, input.u64()?, input.u64()?);
        let (pri, ttr_s, delay_s, body_len) = (input.u32()?, input.u32()?, input.u32()?, input.u32()?);
        let at = input.tube()?;
        let attrs_len = input.u32()? as usize;
        let attrs = Attrs::decode(input.take(attrs_len)?)?;
        if input.0.len() != body_len as usize {
            return Err(Malformed);
        }
        Ok(JobRecord { id, created_ms, due_ms, pri, ttr_s, delay_s, body_len, at, attrs })
    }
}

impl Attrs<'static> {
    /// What a record says of a job's facts.
    pub(crate) fn of(facts: &Facts) -> Attrs<'static> {
        let Facts { counts, trace, is_damaged, more, .. } = facts;
        Attrs { trace: *trace, counts: *counts, is_damaged: *is_damaged, more: more.clone(), ..Attrs::default() }
    }
}

impl Attrs<'_> {
    /// The facts that a record tells of, if there are any.
    pub(crate) fn facts(&self) -> Option<Facts> {
        let (more, counts, trace, is_damaged) = (self.more.clone(), self.counts, self.trace, self.is_damaged);
        let facts = Facts { counts, trace, is_damaged, more, ..Facts::default() };
        (facts != Facts::default()).then_some(facts)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut attrs = Encoder::new(out);
        if let Some(trace) = self.trace {
            attrs.bytes(tag::TRACE, &trace_to_bytes(trace));
        }
        let counts = &self.counts;
        let numbers = [
            (tag::RESERVES, counts.reserves),
            (tag::TIMEOUTS, counts.timeouts),
            (tag::RELEASES, counts.releases),
            (tag::BURIES, counts.buries),
            (tag::KICKS, counts.kicks),
        ];
        for (tag, number) in numbers {
            if number > 0 {
                attrs.u64(tag, u64::from(number));
            }
        }
        if let Some(turn) = self.buried_turn {
            attrs.u64(tag::BURIED_TURN, turn);
        }
        if let Some(tick) = self.tick {
            attrs.bytes(tag::TICK, &tick::to_attr(tick));
        }
        if self.is_damaged {
            attrs.bytes(tag::DAMAGED, &[]);
        }
        if let Some(more) = &self.more {
            more::encode(more, out);
        }
        out.extend_from_slice(self.others);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Attrs<'_>, Malformed> {
        let mut attrs = Attrs::default();
        for attr in attr::decode(bytes) {
            let attr = attr?;
            let counts = &mut attrs.counts;
            match attr.tag {
                tag::TRACE => attrs.trace = trace_from_bytes(attr.array()?),
                tag::RESERVES => counts.reserves = number(&attr)?,
                tag::TIMEOUTS => counts.timeouts = number(&attr)?,
                tag::RELEASES => counts.releases = number(&attr)?,
                tag::BURIES => counts.buries = number(&attr)?,
                tag::KICKS => counts.kicks = number(&attr)?,
                tag::DAMAGED => attrs.is_damaged = true,
                tag::BURIED_TURN => attrs.buried_turn = Some(attr.u64()?),
                tag::TICK => attrs.tick = Some(tick::from_attr(attr.value)?),
                _ => more::decode(&attr, &mut attrs.more)?,
            }
        }
        Ok(attrs)
    }
}

/// The job of a record that holds its body; `None` for all other records.
pub(crate) fn job_id(kind: u8, payload: &[u8]) -> Option<JobId> {
    if matches!(kind, 1 | 2) { Input(payload).id().ok() } else { None }
}

/// The attributes of a job's record that this version does not understand, encoded as they were.
pub(crate) fn unknown_attrs(payload: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut input = Input(payload);
    input.take(JOB_FIXED)?;
    input.tube()?;
    let attrs_len = input.u32()? as usize;
    let mut others = Vec::new();
    for attr in attr::decode(input.take(attrs_len)?) {
        let attr = attr?;
        let is_known = matches!(attr.tag, tag::TRACE | tag::TICK | tag::RESERVES..=tag::BURIED_TURN | tag::DAMAGED);
        if !is_known && !more::is_one(attr.tag) {
            Encoder::new(&mut others).bytes(attr.tag, attr.value);
        }
    }
    Ok(others)
}

fn number(attr: &attr::Attr<'_>) -> Result<u32, Malformed> {
    u32::try_from(attr.u64()?).map_err(|_| Malformed)
}

fn trace_to_bytes(trace: TraceContext) -> [u8; 25] {
    let mut bytes = [0; 25];
    bytes[..16].copy_from_slice(&trace.trace.to_bytes());
    bytes[16..24].copy_from_slice(&trace.span.to_bytes());
    bytes[24] = trace.flags;
    bytes
}

fn trace_from_bytes(bytes: [u8; 25]) -> Option<TraceContext> {
    let trace = TraceId::from_bytes(bytes[..16].try_into().ok()?)?;
    let span = SpanId::from_bytes(bytes[16..24].try_into().ok()?)?;
    Some(TraceContext { trace, span, flags: bytes[24] })
}
