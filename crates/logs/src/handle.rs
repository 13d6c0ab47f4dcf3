//! The plane as others see it.

use std::sync::Arc;

use control::plane::PlaneStatus;
use control::wire::LogRow;
use stdx::ids::Scope;
use stdx::trace::TraceId;

use crate::config::Config;
use crate::error::{QueryError, Refused};
use crate::inbox::Ticket;
use crate::queries::{self, Rows};
use crate::query::{Filter, Query};
use crate::record::Record;
use crate::shared::Shared;
use crate::stats::Stats;

/// Rows of one trace; of a longer one the last are shown.
const TRACE_ROWS_MAX: u32 = 10_000;

/// A running log plane. Clones are the same plane; it stops when it is told to or when the last one is dropped.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    _owner: Arc<Owner>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("status", &self.shared.status.get()).finish_non_exhaustive()
    }
}

/// Stops the plane when nobody has a handle any more.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.inbox.stop();
    }
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { _owner: Arc::new(Owner(Arc::clone(&shared))), shared }
    }

    /// Hands over records, all or none, without waiting. They are visible to queries in a moment and on disk when the
    /// ticket says so.
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken, and the sender may try again.
    pub fn ingest(&self, records: Vec<Record>) -> Result<Ticket, Refused> {
        self.shared.inbox.ingest(records)
    }

    /// Hands over a record without waiting and without asking what becomes of it. `false`: it was dropped and counted,
    /// and the store will say so in the stream.
    pub fn offer(&self, record: Record) -> bool {
        self.shared.inbox.offer(record)
    }

    /// Goes on with other settings; only those in [`LIVE_KEYS`](crate::config::LIVE_KEYS) count before the next start. What
    /// is to be kept no longer goes with the next commit.
    pub fn reconfigure(&self, config: &Config) {
        self.shared.reconfigure(config);
    }

    /// Looks for records: those on disk and those on their way.
    ///
    /// # Errors
    /// When too many queries or tails run.
    pub fn query(&self, query: Query) -> Result<Rows, QueryError> {
        queries::start(&self.shared, query)
    }

    /// All that one trace left, in the order of time.
    ///
    /// # Errors
    /// As [`Handle::query`], or when the disk cannot be read.
    pub async fn trace(&self, trace: TraceId) -> Result<Vec<LogRow>, QueryError> {
        let filter = Filter::default().trace(trace);
        self.query(Query { filter, n: Some(TRACE_ROWS_MAX), ..Query::default() })?.collect().await
    }

    /// The highest `origin_seq` stored of an instance; what its init process sends again up to it is not stored twice.
    pub fn last_origin_seq(&self, scope: &Scope, instance: &str) -> Option<u64> {
        self.shared.origins().last(scope, instance)
    }

    /// Whether the plane runs.
    pub fn status(&self) -> PlaneStatus {
        self.shared.status.clone()
    }

    /// How it stands.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Takes no more records, writes those it has to disk, and ends. Returns when that is done.
    pub async fn stop(&self) {
        self.shared.inbox.stop();
        let mut ended = self.shared.ended.subscribe();
        if ended.wait_for(|ended| *ended).await.is_err() {
            tracing::error!(target: "logs", "the plane's end was not said");
        }
    }
}
