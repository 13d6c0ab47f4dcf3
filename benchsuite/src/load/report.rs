//! What came of a load: counts, reasons, latencies.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

const LATENCY_US_MAX: u64 = 600_000_000;
const FIRST_FAILURES_MAX: usize = 20;
/// A request that left this long after it was due was late: the connections were busy, or the generator was.
const LATE: Duration = Duration::from_millis(10);

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests that were sent or should have been.
    pub attempted: u64,
    /// Those that were answered with a status below 400.
    pub answered: u64,
    /// All others, by reason.
    pub failed: BTreeMap<String, u64>,
    /// The first of these, to find them in a log.
    pub first_failures: Vec<Failure>,
    /// Requests that left more than 10 ms after they were due.
    pub late: u64,
    /// From the start to the last answer.
    pub took: Duration,
    /// Microseconds from the intended start to the end of the answer, of those answered.
    latency_us: Histogram<u64>,
}

/// One request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Milliseconds after the start of the load at which it was known.
    pub at_ms: u128,
    /// The reason, as it is counted.
    pub reason: String,
}

/// A report for machines.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this format.
    pub schema: u32,
    /// See [`Report::attempted`].
    pub attempted: u64,
    /// See [`Report::answered`].
    pub answered: u64,
    /// See [`Report::failed`].
    pub failed: BTreeMap<String, u64>,
    /// See [`Report::late`].
    pub late: u64,
    /// Answers per second.
    pub answered_per_s: f64,
    /// Microseconds, corrected for coordinated omission.
    pub latency_us: Latency,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// How many were answered.
    pub count: u64,
    /// Half took no longer.
    pub p50: u64,
    /// Nine in ten took no longer.
    pub p90: u64,
    /// 99 in 100 took no longer.
    pub p99: u64,
    /// 999 in 1,000 took no longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Report {
    pub(super) fn new() -> Report {
        Report {
            attempted: 0,
            answered: 0,
            failed: BTreeMap::new(),
            first_failures: Vec::new(),
            late: 0,
            took: Duration::ZERO,
            latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are valid"),
        }
    }

    pub(super) fn count(&mut self, outcome: Result<(), String>, at: Duration, latency: Duration, late: Duration) {
        self.attempted += 1;
        self.late += u64::from(late > LATE);
        match outcome {
            Ok(()) => {
                self.answered += 1;
                self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX));
            }
            Err(reason) => {
                *self.failed.entry(reason.clone()).or_default() += 1;
                if self.first_failures.len() < FIRST_FAILURES_MAX {
                    self.first_failures.push(Failure { at_ms: at.as_millis(), reason });
                }
            }
        }
    }

    /// The report for machines.
    pub fn summary(&self) -> Summary {
        let at = |percentile| self.latency_us.value_at_percentile(percentile);
        Summary {
            schema: 1,
            attempted: self.attempted,
            answered: self.answered,
            failed: self.failed.clone(),
            late: self.late,
            answered_per_s: self.answered as f64 / self.took.as_secs_f64().max(f64::EPSILON),
            latency_us: Latency {
                count: self.latency_us.len(),
                p50: at(50.0),
                p90: at(90.0),
                p99: at(99.0),
                p999: at(99.9),
                max: self.latency_us.max(),
            },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary();
        writeln!(f, "attempted {}, answered {} ({:.0}/s)", self.attempted, self.answered, summary.answered_per_s)?;
        for (reason, count) in &self.failed {
            writeln!(f, "failed {count}: {reason}")?;
        }
        for failure in &self.first_failures {
            writeln!(f, "  after {} ms: {}", failure.at_ms, failure.reason)?;
        }
        let Latency { p50, p90, p99, p999, max, .. } = summary.latency_us;
        let ms = |us: u64| us as f64 / 1000.0;
        writeln!(
            f,
            "latency from the intended start, ms: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1}",
            ms(p50),
            ms(p90),
            ms(p99),
            ms(p999),
            ms(max)
        )?;
        writeln!(f, "late starts (over 10 ms): {}", self.late)
    }
}
