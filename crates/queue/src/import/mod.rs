//! Jobs from other queues' files.

pub mod binlog;
