//! The router over real sockets: two workers, raw clients, and endpoints that record every byte.

mod basics;
mod breakers;
mod by_hand;
mod endpoint;
mod figures;
mod forwarded;
mod health;
mod hedge;
mod idempotency;
mod kept;
mod lifecycle;
mod limits;
mod overload;
mod rates;
mod retry;
mod rig;
mod smuggling;
mod tries;
