//! Bytes in, fewer bytes out.

use std::io::{self, Write};

use bytes::Bytes;

use crate::config::ContentCoding;

/// Levels that cost a worker little: what a proxy does once for each client, not once for all.
const GZIP_LEVEL: u32 = 5;
const ZSTD_LEVEL: i32 = 3;
const BROTLI_QUALITY: u32 = 4;
/// How far back repetitions are looked for, 2 to this; it decides about the memory of an encoder, below 1 MiB.
const WINDOW_LOG: u32 = 17;
/// What an encoder of Brotli holds before it writes.
const BROTLI_BUFFER_BYTES: usize = 4 << 10;

/// One content on its way.
pub(super) enum Encoder {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(coding: ContentCoding) -> io::Result<Encoder> {
        Ok(match coding {
            ContentCoding::Gzip => {
                Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            ContentCoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
            ContentCoding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                WINDOW_LOG,
            ))),
        })
    }

    /// # Errors
    /// None in practice: what it writes to is memory.
    pub(super) fn feed(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(data),
            Encoder::Zstd(encoder) => encoder.write_all(data),
            Encoder::Brotli(encoder) => encoder.write_all(data),
        }
    }

    /// Makes everything that was fed come out.
    ///
    /// # Errors
    /// As [`Encoder::feed`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
            Encoder::Brotli(encoder) => encoder.flush(),
        }
    }

    /// How much has come out.
    pub(super) fn ready(&self) -> usize {
        match self {
            Encoder::Gzip(encoder) => encoder.get_ref().len(),
            Encoder::Zstd(encoder) => encoder.get_ref().len(),
            Encoder::Brotli(encoder) => encoder.get_ref().len(),
        }
    }

    /// What has come out.
    pub(super) fn take(&mut self) -> Bytes {
        let out = match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// The rest.
    ///
    /// # Errors
    /// As [`Encoder::feed`].
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
            Encoder::Brotli(encoder) => encoder.into_inner(),
        }
        .into())
    }
}
