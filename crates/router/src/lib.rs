//! One HTTP request, from accept to reply.

pub mod config;
