//! A record's bytes in the log: eight bytes of time (UTC nanoseconds, little-endian), then skippable attributes
//! (`wal::attr`). A tag never changes its meaning; a reader skips those it does not know. The record's number is its LSN.

use stdx::clock::Wall;
use stdx::trace::{SpanId, TraceId};
use wal::attr::{self, Attr, Encoder, Malformed};

use crate::level::Level;
use crate::record::{Source, Stream};

/// The `wal` kind of a record.
pub(crate) const KIND_RECORD: u8 = 1;

const TIME_BYTES: usize = 8;

/// The table of tags. Numbers 1 to 31 are of this list.
mod tag {
    pub(super) const SOURCE: u8 = 1;
    pub(super) const APP: u8 = 2;
    pub(super) const ENV: u8 = 3;
    pub(super) const PROCESS: u8 = 4;
    pub(super) const INSTANCE: u8 = 5;
    pub(super) const RELEASE: u8 = 6;
    pub(super) const STREAM: u8 = 7;
    pub(super) const LEVEL: u8 = 8;
    pub(super) const TRACE: u8 = 9;
    pub(super) const SPAN: u8 = 10;
    pub(super) const ORIGIN_SEQ: u8 = 11;
    pub(super) const MESSAGE: u8 = 12;
    pub(super) const FIELDS: u8 = 13;
    pub(super) const CUT_FROM: u8 = 14;
    pub(super) const REPLACED: u8 = 15;
}

/// A record as it stands in the log, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View<'a> {
    pub(crate) time: Wall,
    /// `None` for one that a newer Forebay knows.
    pub(crate) source: Option<Source>,
    pub(crate) app: Option<&'a str>,
    pub(crate) env: Option<&'a str>,
    pub(crate) process: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
    pub(crate) release: Option<u32>,
    pub(crate) stream: Option<Stream>,
    pub(crate) level: Level,
    pub(crate) trace: Option<TraceId>,
    pub(crate) span: Option<SpanId>,
    pub(crate) origin_seq: Option<u64>,
    pub(crate) message: &'a str,
    /// A JSON object as text; empty when there are no fields.
    pub(crate) fields: &'a str,
    pub(crate) cut_from: Option<u64>,
    pub(crate) replaced: u64,
}

impl View<'static> {
    /// A record of a time and a source that says nothing.
    pub(crate) fn new(time: Wall, source: Source) -> View<'static> {
        View {
            time,
            source: Some(source),
            app: None,
            env: None,
            process: None,
            instance: None,
            release: None,
            stream: None,
            level: Level::Info,
            trace: None,
            span: None,
            origin_seq: None,
            message: "",
            fields: "",
            cut_from: None,
            replaced: 0,
        }
    }
}

impl<'a> View<'a> {
    /// Appends the record's bytes to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.0.to_le_bytes());
        let mut to = Encoder::new(out);
        if let Some(source) = self.source {
            to.u64(tag::SOURCE, source as u64);
        }
        let texts = [
            (tag::APP, self.app),
            (tag::ENV, self.env),
            (tag::PROCESS, self.process),
            (tag::INSTANCE, self.instance),
            (tag::MESSAGE, (!self.message.is_empty()).then_some(self.message)),
            (tag::FIELDS, (!self.fields.is_empty()).then_some(self.fields)),
        ];
        for (tag, text) in texts.into_iter().filter_map(|(tag, text)| Some((tag, text?))) {
            to.str(tag, text);
        }
        let numbers = [
            (tag::RELEASE, self.release.map(u64::from)),
            (tag::STREAM, self.stream.map(|stream| stream as u64)),
            (tag::LEVEL, Some(self.level as u64)),
            (tag::ORIGIN_SEQ, self.origin_seq),
            (tag::CUT_FROM, self.cut_from),
            (tag::REPLACED, (self.replaced > 0).then_some(self.replaced)),
        ];
        for (tag, number) in numbers.into_iter().filter_map(|(tag, number)| Some((tag, number?))) {
            to.u64(tag, number);
        }
        if let Some(trace) = self.trace {
            to.bytes(tag::TRACE, &trace.to_bytes());
        }
        if let Some(span) = self.span {
            to.bytes(tag::SPAN, &span.to_bytes());
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are no record at all. A value that is not understood (a level of a newer Forebay) is left out.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<View<'a>, Malformed> {
        let (time, attributes) = payload.split_first_chunk::<TIME_BYTES>().ok_or(Malformed)?;
        let mut view = View { time: Wall(u64::from_le_bytes(*time)), source: None, ..View::new(Wall(0), Source::Node) };
        for attribute in attr::decode(attributes) {
            view.take(attribute?)?;
        }
        Ok(view)
    }

    fn take(&mut self, attribute: Attr<'a>) -> Result<(), Malformed> {
        match attribute.tag {
            tag::SOURCE => self.source = pick(&Source::ALL, attribute.u64()?),
            tag::APP => self.app = Some(attribute.str()?),
            tag::ENV => self.env = Some(attribute.str()?),
            tag::PROCESS => self.process = Some(attribute.str()?),
            tag::INSTANCE => self.instance = Some(attribute.str()?),
            tag::RELEASE => self.release = u32::try_from(attribute.u64()?).ok(),
            tag::STREAM => self.stream = pick(&[Stream::Stdout, Stream::Stderr], attribute.u64()?),
            tag::LEVEL => self.level = Level::from_number(attribute.u64()?).unwrap_or(Level::Info),
            tag::TRACE => self.trace = TraceId::from_bytes(attribute.array()?),
            tag::SPAN => self.span = SpanId::from_bytes(attribute.array()?),
            tag::ORIGIN_SEQ => self.origin_seq = Some(attribute.u64()?),
            tag::MESSAGE => self.message = attribute.str()?,
            tag::FIELDS => self.fields = attribute.str()?,
            tag::CUT_FROM => self.cut_from = Some(attribute.u64()?),
            tag::REPLACED => self.replaced = attribute.u64()?,
            _ => {}
        }
        Ok(())
    }
}

/// The time alone, which is where a scan looks first.
pub(crate) fn time_of(payload: &[u8]) -> Option<Wall> {
    payload.first_chunk::<TIME_BYTES>().map(|time| Wall(u64::from_le_bytes(*time)))
}

fn pick<T: Copy>(all: &[T], number: u64) -> Option<T> {
    all.get(usize::try_from(number).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> View<'static> {
        View {
            app: Some("shop"),
            env: Some("production"),
            process: Some("web"),
            instance: Some("web.17"),
            release: Some(3),
            stream: Some(Stream::Stderr),
            level: Level::Warning,
            trace: TraceId::from_bytes([7; 16]),
            span: SpanId::from_bytes([9; 8]),
            origin_seq: Some(0),
            message: "hällo\u{0}",
            fields: r#"{"a":1}"#,
            cut_from: Some(1 << 20),
            replaced: 2,
            ..View::new(Wall(1_700_000_000_000_000_001), Source::App)
        }
    }

    #[test]
    fn every_field_is_read_back() {
        for view in [full(), View::new(Wall(0), Source::Node)] {
            let mut bytes = Vec::new();
            view.encode(&mut bytes);
            assert_eq!(View::decode(&bytes), Ok(view));
            assert_eq!(time_of(&bytes), Some(view.time));
        }
    }

    /// What version 1 wrote; never to be changed.
    #[test]
    fn the_first_formats_bytes_are_still_read() {
        let bytes = b"\x01\0\0\0\0\0\0\0\x01\0\x02\x04shop\x0c\x02hi\x08\x01\x03\x0b\x01\x05";
        let view = View::decode(bytes).unwrap();
        let expected = View {
            app: Some("shop"),
            message: "hi",
            level: Level::Error,
            origin_seq: Some(5),
            ..View::new(Wall(1), Source::App)
        };
        assert_eq!(view, expected);
    }

    #[test]
    fn attributes_of_a_newer_forebay_are_skipped() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes);
        Encoder::new(&mut bytes).str(200, "what the future holds").u64(1, 99).u64(8, 42);
        let view = View::decode(&bytes).unwrap();
        assert_eq!(view, View { source: None, level: Level::Info, ..full() });
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        assert_eq!(View::decode(b"short"), Err(Malformed));
        assert_eq!(View::decode(b"12345678\x0c\x09cut"), Err(Malformed));
        assert_eq!(View::decode(b"12345678\x0c\x01\xff"), Err(Malformed));
    }
}
