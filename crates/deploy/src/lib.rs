//! One release, from source to traffic.
//!
//! The way of a deploy, from the top down: `admin` (the archive comes in) → `unpack` (it becomes a folder) → the
//! [`seams::Planner`] (it becomes a plan) → `side` (one task per application and environment carries it out) →
//! [`rollout`] (decides, pure) → `run` (one task per instance) and `prober` (is it healthy?) → `table` (the switch: one
//! published endpoint table). What crashes later is [`supervise`]'s. [`source`] is the client's side.

pub mod admin;
pub mod config;
mod dependency;
pub mod digest;
mod environ;
mod errors;
mod node;
mod output;
mod ports;
mod prober;
mod progress;
mod regain;
mod ring;
pub mod rollout;
mod run;
pub mod seams;
mod side;
pub mod source;
mod spec;
mod staging;
pub mod supervise;
mod suspicion;
mod table;
pub mod unpack;

pub use dependency::{DependencyConfig, DependencyState};
pub use node::{AtStop, Deps, Handle, StartError, start};
pub use seams::{Endpoint, EndpointTable, OutputSink, Plan, Planner, ScopeTable, SinkError, Speaker, Traffic, Wait};
