//! All memory budgets of a node add up to one number.
//!
//! The sum is a ceiling and no reservation: an idle node has a small part of it. What is counted by number (connections,
//! waiting records) is charged at what one of them may cost.

use std::fmt;

/// What the budgets may add up to when nobody says.
pub(crate) const BYTES_MAX: u64 = 4 << 30;
/// What one client connection of the queue may hold besides a job's body: its line, its watch list, its unsent replies.
const QUEUE_CONNECTION_BYTES: u64 = 4 << 10;
/// What one HTTP connection of the queue buffers besides a body.
const HTTP_CONNECTION_BYTES: u64 = 32 << 10;
/// What one first answer costs beside its bytes on disk.
const ANSWER_BYTES: u64 = 256;
/// The state of a reply that is compressed.
const COMPRESSION_BYTES: u64 = 1 << 20;
/// What one session with TLS may hold: what came in and is not whole, what is to go out and was not taken.
const TLS_SESSION_BYTES: u64 = 52 << 10;
/// What one connection with HTTP/2 may hold of contents that nobody takes.
const HTTP2_WINDOW_BYTES: u64 = 64 << 10;
/// What one record in a tail's waiting line costs, on average; the tail holds records that the store shares.
const TAIL_RECORD_BYTES: u64 = 256;
/// The code, the stacks, SQLite's cache and what else does not grow with the load.
const BASE_BYTES: u64 = 48 << 20;

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The keys that set it: `queue.connections_max x 4096`.
    pub what: String,
    /// Bytes at most.
    pub bytes: u64,
}

/// The memory budgets of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `memory_bytes_max` of `node.toml`.
    pub bytes_max: u64,
    /// The budgets, the largest first.
    pub rows: Vec<Row>,
}

impl Budget {
    /// What the budgets add up to.
    pub fn sum(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.bytes))
    }

    /// Whether they add up to more than the node may use.
    pub fn is_exceeded(&self) -> bool {
        self.sum() > self.bytes_max
    }
}

impl fmt::Display for Budget {
    /// A line for each budget, the largest first, and the sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            writeln!(f, "{:>12}  {}", mib(row.bytes), row.what)?;
        }
        write!(f, "{:>12}  in all; memory_bytes_max is {}", mib(self.sum()), mib(self.bytes_max))
    }
}

/// The budgets that the planes' limits make.
pub(crate) fn budget(
    bytes_max: u64,
    router: &router::config::Config,
    queue: &queue::config::Config,
    logs: &logs::config::Config,
) -> Budget {
    let mut rows = vec![row("code, stacks, control state".into(), 1, BASE_BYTES)];
    rows.extend(of_router(router));
    rows.extend(of_queue(queue));
    rows.extend(of_logs(logs));
    rows.retain(|row| row.bytes > 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    Budget { bytes_max, rows }
}

fn row(what: String, count: u64, each: u64) -> Row {
    Row { what, bytes: count.saturating_mul(each) }
}

fn of_router(router: &router::config::Config) -> [Row; 12] {
    let head = u64::from(router.header_bytes_max) + u64::from(router.target_bytes_max);
    let connections = u64::from(router.connections_max);
    let http2 = &router.http2;
    let on_disk = u64::from(router.cache_disk_bytes_max > 0);
    [
        row("router.connections_max x (header_bytes_max + target_bytes_max)".into(), connections, head),
        row(format!("router.answers_max x {ANSWER_BYTES}"), router.answers_max.into(), ANSWER_BYTES),
        row(
            format!("router.connections_max x {TLS_SESSION_BYTES}, with TLS"),
            if router.tls.listen.is_empty() { 0 } else { connections },
            TLS_SESSION_BYTES,
        ),
        row(
            format!("router.http2.connections_max x {HTTP2_WINDOW_BYTES}"),
            if http2.enabled { http2.connections_max.into() } else { 0 },
            HTTP2_WINDOW_BYTES,
        ),
        row(
            "router.http2.requests_max x header_bytes_max".into(),
            if http2.enabled { http2.requests_max.into() } else { 0 },
            router.header_bytes_max.into(),
        ),
        row(
            format!("router.compressions_max x {COMPRESSION_BYTES}"),
            router.compressions_max.into(),
            COMPRESSION_BYTES,
        ),
        row("router.fragments_bytes_max".into(), 1, router.fragments_bytes_max),
        row("router.kept_memory_bytes_max".into(), 1, router.kept_memory_bytes_max),
        row("router.cache_bytes_max".into(), 1, router.cache_bytes_max),
        row("router.cache_arriving_bytes_max".into(), 1, router.cache_arriving_bytes_max),
        row("router.cache_disk_index_bytes_max".into(), on_disk, router.cache_disk_index_bytes_max),
        row("router.cache_disk_moving_bytes_max".into(), on_disk, router.cache_disk_moving_bytes_max),
    ]
}

fn of_queue(queue: &queue::config::Config) -> [Row; 9] {
    let connections = u64::from(queue.connections_max);
    [
        row("queue.index_bytes_max".into(), 1, queue.index_bytes_max),
        row("queue.volatile_bytes_max".into(), 1, queue.volatile_bytes_max),
        row("queue.body_cache_bytes_max".into(), 1, queue.body_cache_bytes_max),
        row(format!("queue.connections_max x {QUEUE_CONNECTION_BYTES}"), connections, QUEUE_CONNECTION_BYTES),
        row(
            format!("queue.connections_max x {TLS_SESSION_BYTES}, with TLS"),
            if queue.tls.listen.is_empty() { 0 } else { connections },
            TLS_SESSION_BYTES,
        ),
        row(
            "queue.connections_max x connection_output_bytes_max".into(),
            connections,
            queue.connection_output_bytes_max as u64,
        ),
        row("queue.input_bytes_max".into(), 1, queue.input_bytes_max as u64),
        row("queue.http_input_bytes_max".into(), 1, queue.http_input_bytes_max as u64),
        row(
            format!("queue.http_connections_max x {HTTP_CONNECTION_BYTES}"),
            queue.http_connections_max.into(),
            HTTP_CONNECTION_BYTES,
        ),
    ]
}

fn of_logs(logs: &logs::config::Config) -> [Row; 2] {
    let tails = u64::from(logs.tails_max).saturating_mul(logs.tail_records_max.into());
    [
        row("logs.pending_bytes_max x 2 (waiting, being written)".into(), 2, logs.pending_bytes_max),
        row(format!("logs.tails_max x tail_records_max x {TAIL_RECORD_BYTES}"), tails, TAIL_RECORD_BYTES),
    ]
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_the_default_limit() {
        let budget = budget(BYTES_MAX, &Default::default(), &Default::default(), &Default::default());
        assert!(!budget.is_exceeded(), "{budget}");
        assert_eq!(budget.sum(), budget.rows.iter().map(|row| row.bytes).sum::<u64>());
    }

    #[test]
    fn absurd_limits_do_not_overflow_the_sum() {
        let queue = queue::config::Config { index_bytes_max: u64::MAX, ..Default::default() };
        let budget = budget(BYTES_MAX, &Default::default(), &queue, &Default::default());
        assert!(budget.is_exceeded());
        assert_eq!(budget.sum(), u64::MAX);
        assert_eq!(budget.rows[0].what, "queue.index_bytes_max");
    }
}
