//! The attributes of what only few jobs have.

use std::sync::Arc;

use wal::attr::{self, Attr, Encoder};

use super::Malformed;
use crate::engine::{Attempt, AttemptEnd, Dead, More};

/// Tags among the attributes of a job. They are part of the one table in `job`.
pub(super) mod tag {
    pub(crate) const KEY: u8 = 3;
    pub(crate) const ORDER: u8 = 4;
    pub(crate) const KEY_UNTIL: u8 = 11;
    pub(crate) const UNIQUE: u8 = 12;
    pub(crate) const ATTEMPTS_MAX: u8 = 13;
    pub(crate) const RETRY_DELAY: u8 = 14;
    pub(crate) const FORGIVEN: u8 = 15;
    pub(crate) const FAILURES: u8 = 16;
    pub(crate) const ATTEMPT: u8 = 17;
    pub(crate) const DEAD: u8 = 18;
}

/// Tags within an attempt and a death.
mod end {
    pub(super) const AT: u8 = 1;
    pub(super) const HOW: u8 = 2;
    pub(super) const REASON: u8 = 3;
    pub(super) const WORKER: u8 = 4;
    pub(super) const FROM: u8 = 5;
}

/// Writes what there is of it.
pub(super) fn encode(more: &More, out: &mut Vec<u8>) {
    let mut attrs = Encoder::new(out);
    let terms = &more.terms;
    let texts = [(tag::KEY, &terms.key), (tag::ORDER, &terms.order), (tag::UNIQUE, &terms.unique)];
    for (tag, text) in texts {
        if let Some(text) = text {
            attrs.str(tag, text);
        }
    }
    if terms.key.is_some() {
        attrs.u64(tag::KEY_UNTIL, terms.key_until_ms);
    }
    let numbers = [
        (tag::ATTEMPTS_MAX, terms.attempts_max.map(u64::from)),
        (tag::RETRY_DELAY, terms.retry_delay_ms),
        (tag::FORGIVEN, Some(more.forgiven.into()).filter(|n| *n > 0)),
        (tag::FAILURES, Some(more.failures.into()).filter(|n| *n > 0)),
    ];
    for (tag, number) in numbers {
        if let Some(number) = number {
            attrs.u64(tag, number);
        }
    }
    for attempt in &more.attempts {
        let mut value = Vec::new();
        encode_attempt(attempt, &mut value);
        attrs.bytes(tag::ATTEMPT, &value);
    }
    if let Some(dead) = &more.dead {
        let mut value = Vec::new();
        encode_dead(dead, &mut value);
        attrs.bytes(tag::DEAD, &value);
    }
}

/// Takes an attribute over if it is one of these.
pub(super) fn decode(attr: &Attr<'_>, more: &mut Option<Box<More>>) -> Result<(), Malformed> {
    if !is_one(attr.tag) {
        return Ok(());
    }
    let more = more.get_or_insert_default();
    let number = || attr.u64().map_err(Malformed::from);
    let short = || u32::try_from(number()?).map_err(|_| Malformed);
    let text = || Ok::<Option<Arc<str>>, Malformed>(Some(attr.str()?.into()));
    match attr.tag {
        tag::KEY => more.terms.key = text()?,
        tag::ORDER => more.terms.order = text()?,
        tag::UNIQUE => more.terms.unique = text()?,
        tag::KEY_UNTIL => more.terms.key_until_ms = number()?,
        tag::ATTEMPTS_MAX => more.terms.attempts_max = Some(short()?),
        tag::RETRY_DELAY => more.terms.retry_delay_ms = Some(number()?),
        tag::FORGIVEN => more.forgiven = short()?,
        tag::FAILURES => more.failures = short()?,
        tag::ATTEMPT => more.attempts.push_back(decode_attempt(attr.value)?),
        _ => more.dead = Some(decode_dead(attr.value)?),
    }
    Ok(())
}

/// Whether the tag is one of these.
pub(super) fn is_one(tag: u8) -> bool {
    matches!(tag, tag::KEY | tag::ORDER | tag::KEY_UNTIL..=tag::DEAD)
}

pub(super) fn encode_attempt(attempt: &Attempt, out: &mut Vec<u8>) {
    let mut attrs = Encoder::new(out);
    attrs.u64(end::AT, attempt.at_ms).u64(end::HOW, how_number(attempt.end));
    attrs.str(end::REASON, &attempt.reason).str(end::WORKER, &attempt.worker);
}

pub(super) fn decode_attempt(bytes: &[u8]) -> Result<Attempt, Malformed> {
    let mut attempt = Attempt { at_ms: 0, end: AttemptEnd::TimedOut, reason: Box::default(), worker: Box::default() };
    for attr in attr::decode(bytes) {
        let attr = attr?;
        match attr.tag {
            end::AT => attempt.at_ms = attr.u64()?,
            end::HOW => attempt.end = how(attr.u64()?)?,
            end::REASON => attempt.reason = attr.str()?.into(),
            end::WORKER => attempt.worker = attr.str()?.into(),
            _ => {}
        }
    }
    Ok(attempt)
}

pub(super) fn encode_dead(dead: &Dead, out: &mut Vec<u8>) {
    let mut attrs = Encoder::new(out);
    attrs.u64(end::AT, dead.at_ms).u64(end::HOW, how_number(dead.end)).str(end::FROM, &dead.from);
}

pub(super) fn decode_dead(bytes: &[u8]) -> Result<Dead, Malformed> {
    let mut dead = Dead { at_ms: 0, end: AttemptEnd::TimedOut, from: Box::default() };
    for attr in attr::decode(bytes) {
        let attr = attr?;
        match attr.tag {
            end::AT => dead.at_ms = attr.u64()?,
            end::HOW => dead.end = how(attr.u64()?)?,
            end::FROM => dead.from = attr.str()?.into(),
            _ => {}
        }
    }
    Ok(dead)
}

fn how_number(end: AttemptEnd) -> u64 {
    match end {
        AttemptEnd::TimedOut => 1,
        AttemptEnd::Released => 2,
        AttemptEnd::Failed => 3,
    }
}

fn how(number: u64) -> Result<AttemptEnd, Malformed> {
    match number {
        1 => Ok(AttemptEnd::TimedOut),
        2 => Ok(AttemptEnd::Released),
        3 => Ok(AttemptEnd::Failed),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::PutTerms;

    /// With everything that there can be.
    pub(in super::super) fn full() -> More {
        let attempt = Attempt { at_ms: 3, end: AttemptEnd::Released, reason: "later".into(), worker: "w".into() };
        More {
            terms: PutTerms {
                key: Some("t k".into()),
                key_until_ms: 77,
                unique: Some("t u".into()),
                order: Some("o".into()),
                attempts_max: Some(0),
                retry_delay_ms: Some(0),
            },
            forgiven: 1,
            failures: 2,
            attempts: [attempt].into(),
            dead: Some(Dead { at_ms: 5, end: AttemptEnd::TimedOut, from: "t".into() }),
        }
    }
}
