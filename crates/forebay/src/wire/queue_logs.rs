//! What happens to jobs with a trace context becomes log records.

use logs::{Level, Record, Source};
use queue::{JobChange, JobEvent, JobSink};

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
}
