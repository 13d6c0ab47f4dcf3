//! Listeners, accept limits, TLS and the PROXY protocol.

pub mod accept;
pub mod listen;
pub mod proxy_protocol;
pub mod tls;
