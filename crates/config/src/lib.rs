//! Manifest and node configuration, with spans, defaults and schema
