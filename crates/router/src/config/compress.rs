//! `compress` of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which replies are compressed on their way. Never one that is encoded already, a part of something, or marked
/// `no-transform`, and no events; what may be compressed says `Vary: Accept-Encoding`, and its `ETag` becomes weak when it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressConfig {
    /// What is offered; of what a client likes equally well the first.
    #[schemars(length(min = 1, max = 3))]
    pub codings: Vec<ContentCoding>,
    /// Media types; `*` stands for anything, once. Parameters do not count.
    #[schemars(length(max = 100))]
    pub types: Vec<String>,
    /// Content that says it is shorter goes out as it is.
    pub bytes_min: u64,
}

/// How content is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContentCoding {
    /// RFC 8878.
    #[serde(rename = "zstd")]
    Zstd,
    /// RFC 7932.
    #[serde(rename = "br")]
    Brotli,
    /// RFC 1952.
    #[serde(rename = "gzip")]
    Gzip,
}

impl Default for CompressConfig {
    fn default() -> CompressConfig {
        let types = [
            "text/*",
            "application/javascript",
            "application/json",
            "application/manifest+json",
            "application/wasm",
            "application/xml",
            "application/*+json",
            "application/*+xml",
            "image/svg+xml",
        ];
        CompressConfig {
            codings: vec![ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip],
            types: types.map(String::from).to_vec(),
            bytes_min: 1_024,
        }
    }
}
