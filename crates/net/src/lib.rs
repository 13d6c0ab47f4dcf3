//! Listeners, accept limits, TLS, the PROXY protocol, names, and the small HTTP client that all but the router share.

pub mod accept;
pub mod dns;
pub mod handover;
pub mod listen;
pub mod proxy_protocol;
pub mod reach;
pub mod sockets;
pub mod stream;
pub mod tls;
pub mod tunnel;
