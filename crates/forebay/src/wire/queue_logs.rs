//! What happens to jobs with a trace context becomes log records.

use logs::{Level, Record, Source};
use queue::{AlertEvent, JobChange, JobEvent, JobSink};

/// Offers every event to the log plane, which counts what it cannot take.
pub(crate) struct JobLog(pub(crate) logs::Handle);

impl JobSink for JobLog {
    fn record(&self, event: JobEvent) {
        let level = match event.what {
            JobChange::TimedOut | JobChange::Buried | JobChange::Died => Level::Warning,
            _ => Level::Info,
        };
        let message = format!("job {} {}", event.job, event.what.word());
        let mut record = Record::text(event.time, Source::Queue, level, message)
            .with("tube", event.tube.to_string())
            .with("job", event.job.0)
            .with("reserves", event.reserves)
            .with("age_ms", event.age_ms)
            .with("bytes", event.bytes);
        record.scope = event.namespace.0.clone();
        record.trace = Some(event.trace.trace);
        record.span = Some(event.trace.span);
        // false: it was dropped, and the log plane has counted it.
        self.0.offer(record);
    }

    fn alert(&self, event: AlertEvent) {
        let level = if event.raised { Level::Warning } else { Level::Info };
        let what = if event.raised { "raised" } else { "cleared" };
        let message = format!("alert {what}: {} of tube {}", event.kind.word(), event.tube);
        let mut record = Record::text(event.time, Source::Queue, level, message)
            .with("tube", event.tube)
            .with("alert", event.kind.word())
            .with("limit_ms", event.limit_ms);
        if let Some(value_ms) = event.value_ms {
            record = record.with("value_ms", value_ms);
        }
        record.scope = event.namespace.0;
        self.0.offer(record);
    }
}

/// For a queue without a log plane: what happens to jobs is not recorded, alerts are said on stderr.
pub(crate) struct OnStderr;

impl JobSink for OnStderr {
    fn record(&self, _event: JobEvent) {}

    fn alert(&self, event: AlertEvent) {
        let AlertEvent { tube, value_ms, limit_ms, .. } = event;
        let alert = event.kind.word();
        if event.raised {
            tracing::warn!(tube, alert, value_ms, limit_ms, "alert raised");
        } else {
            tracing::info!(tube, alert, limit_ms, "alert cleared");
        }
    }
}
