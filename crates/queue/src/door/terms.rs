//! What a job asks for beside the usual, when it is put.

use control::error::{ApiError, Kind};
use stdx::trace::TraceContext;

use crate::proto::put_with::{PutWith, WINDOW_S_MAX, key};

/// Keys of deduplication and order, and retry terms of its own; absent is what its tube says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobTerms {
    /// A second put into the tube with this key, within the window, is the same job.
    pub key: Option<String>,
    /// The window of `key` in seconds; 300 when it is absent.
    pub window_s: Option<u32>,
    /// A second put into the tube with this key, before the job is done, is the same job.
    pub unique: Option<String>,
    /// Jobs of the tube with the same one are handed out one after the other.
    pub order: Option<String>,
    /// Attempts that it may have.
    pub attempts_max: Option<u32>,
    /// How long it waits after its first failed attempt.
    pub retry_delay_ms: Option<u64>,
}

impl JobTerms {
    /// The same, as `put-with` says it; `None` when nothing is asked for.
    pub(crate) fn check(&self, trace: Option<TraceContext>) -> Result<Option<PutWith<'_>>, ApiError> {
        if *self == JobTerms::default() {
            return Ok(None);
        }
        let checked = |text: &'_ Option<String>| text.as_deref().is_none_or(|text| key(text).is_some());
        if ![&self.key, &self.unique, &self.order].into_iter().all(checked) {
            return Err(malformed("a key has 1 to 100 visible ASCII characters"));
        }
        if self.window_s.is_some_and(|window_s| !(1..=WINDOW_S_MAX).contains(&window_s)) {
            return Err(malformed(format!("the window of a key is 1 to {WINDOW_S_MAX} seconds")));
        }
        Ok(Some(PutWith {
            key: self.key.as_deref(),
            window_s: self.window_s,
            unique: self.unique.as_deref(),
            order: self.order.as_deref(),
            attempts_max: self.attempts_max,
            retry_delay_ms: self.retry_delay_ms,
            trace,
        }))
    }
}

fn malformed(what: impl Into<String>) -> ApiError {
    ApiError::new(Kind::Usage, "job_terms_malformed", what.into())
}
