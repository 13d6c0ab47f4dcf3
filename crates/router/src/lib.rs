//! One HTTP request, from accept to reply.
//!
//! The way through, in order: `serve` (accepting) → `h1::front` (the protocol) → `answer` → `gate` (may it come in) → `route` (whose is it) → `tries`
//! (which endpoint, how often, how long) → `forward` (one try, over the worker's own `pool`) → `reply`. One
//! `Exchange` value carries a request's facts along and ends as its access record.
//!
//! Workers share nothing on that way but atomics per endpoint; each has its sockets, its pool and its generator. The
//! routing is an immutable `snapshot`; a change gives every worker a new one, and requests that wait look again.

pub mod access;
pub mod admin;
mod alarm;
mod answer;
mod balance;
mod body;
mod budget;
mod cache;
mod capacity;
mod checked;
mod compress;
pub mod config;
mod conn;
mod deadline;
mod edge;
mod endpoint;
mod exchange;
mod fault;
mod fields;
mod figures;
mod forward;
mod fragments;
mod gate;
mod h1;
mod h2;
mod handle;
mod health_source;
mod hedge;
mod hop;
mod idempotency;
mod kept;
mod latency;
mod link;
mod live;
mod maintenance;
mod outbound;
pub mod overrides;
mod own_writes;
mod passwords;
mod peers;
mod pick;
mod pool;
mod race;
mod reply;
mod rescue;
mod reserved;
mod retry;
mod ring;
mod room;
mod route;
pub mod routing;
mod serve;
mod shared;
mod silence;
mod snapshot;
mod spare;
pub mod standalone;
mod start_error;
mod succession;
mod suspects;
mod sweep;
mod tracing_context;
mod treatment;
mod tries;
mod upgrade;
mod upstream;
mod way;
mod worker;

pub use access::{AccessRecord, AccessRing, AccessSink};
pub use capacity::{BreakerState, BreakerView, DegradeView, Figures, LimitView, Manual};
pub use handle::{Deps, Handle, RouteCounts, start};
pub use health_source::{Dependency, HealthSource, NoHealth};
pub use idempotency::JournalError;
pub use live::LIVE_KEYS;
pub use overrides::Overrides;
pub use routing::{EndpointSource, EndpointSpec, RouteSpec, Routing, UpstreamName, UpstreamSpec};
pub use start_error::StartError;
pub use succession::check;
