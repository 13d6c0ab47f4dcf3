//! What std lacks: a clock that can be turned, a disk that can fail, ids, and the W3C trace context.
//!
//! No domain types live here; every other crate may depend on this one and this one depends on none of them.

#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Forebay runs on Linux x86-64 and aarch64 with glibc only");

pub mod base64;
pub mod clock;
pub mod format;
pub mod ids;
pub mod io;
pub mod lock;
pub mod rng;
pub mod trace;
