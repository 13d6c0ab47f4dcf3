//! One release, from source to traffic.

pub mod config;
