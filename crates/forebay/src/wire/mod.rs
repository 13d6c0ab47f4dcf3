//! The edges between planes: one file each. What a plane needs of another is a small trait of its own; here it is met.

pub(crate) mod access;
pub(crate) mod combined;
pub(crate) mod deploy_config;
pub(crate) mod deploy_health;
pub(crate) mod deploy_logs;
pub(crate) mod deploy_router;
pub(crate) mod queue_logs;
pub(crate) mod queue_tokens;
pub(crate) mod queue_work;
pub(crate) mod router_logs;
pub(crate) mod self_logs;
