//! What the router says of itself in numbers: counted in the request path with relaxed additions, read by whoever asks.

mod beside;
mod counts;
mod histogram;
mod metrics;
mod rows;

pub(crate) use counts::{EndpointFigures, RouteFigures};
pub(crate) use histogram::Histogram;
