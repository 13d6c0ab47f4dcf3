//! A small stub resolver: addresses and services by name, with the time for which an answer holds. The system's own
//! (`getaddrinfo`) tells neither that time nor services.
//!
//! It asks the servers of `/etc/resolv.conf`, or those that it is given, over UDP and over TCP where an answer does not fit,
//! and follows no referrals: the servers do that. Names are absolute; search lists are not used. Sources: RFC 1035, RFC
//! 2782 (SRV), RFC 5452 (what makes an answer hard to forge: random id and port, the question repeated).

mod client;
mod message;
mod servers;

pub use client::{DnsError, Found, Resolver};
pub use message::{Malformed, Name, Service};
pub use servers::{Servers, ServersError};
