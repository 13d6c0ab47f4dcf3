//! The router over real sockets: two workers, raw clients, and endpoints that record every byte.

mod balance;
mod basics;
mod breakers;
mod by_hand;
mod codec;
mod endpoint;
mod figures;
mod forwarded;
mod health;
mod hedge;
mod idempotency;
mod kept;
mod lifecycle;
mod limits;
mod name_server;
mod overload;
mod own_writes;
mod proxy_protocol;
mod rates;
mod reserved;
mod retry;
mod rig;
mod smuggling;
mod standalone;
mod tls;
mod tries;
