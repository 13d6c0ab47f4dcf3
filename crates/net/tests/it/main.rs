//! Listeners as clients see them.

mod tls;
