//! What the disk itself can do: the ceiling that every durable queue is up against.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::figures::{Figure, round};
use crate::queue::figure;
use crate::queue::load::{histogram, micros};

/// Appends of 300 bytes, each made durable (`fdatasync`) before the next.
#[derive(Debug)]
pub(super) struct Raw {
    per_s: f64,
    us: Histogram<u64>,
}

/// Appends and syncs for a time.
pub(super) fn raw(folder: &Path, during: Duration) -> Result<Raw> {
    let path = folder.join("sync-rate");
    let mut file = File::create(&path).context("cannot create a file to measure the disk")?;
    let (mut us, began) = (histogram(), Instant::now());
    while began.elapsed() < during {
        let one = Instant::now();
        file.write_all(&[0x5a; 300]).context("cannot append")?;
        file.sync_data().context("cannot sync")?;
        us.saturating_record(micros(one));
    }
    let per_s = us.len() as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path).context("cannot remove what was measured with")?;
    Ok(Raw { per_s, us })
}

/// The disk before and after a scenario.
pub(super) fn figures(scenario: &str, before: &Raw, after: &Raw) -> Vec<Figure> {
    let of = |raw: &Raw, [rate, p50, p99]: [&'static str; 3]| {
        let ms = |percentile| round(raw.us.value_at_percentile(percentile) as f64 / 1000.0, 3);
        let disk = |metric, value| figure(scenario, "durable", "disk", metric, value);
        [disk(rate, round(raw.per_s, 0)), disk(p50, ms(50.0)), disk(p99, ms(99.0))]
    };
    let before = of(before, ["syncs_per_s_before", "sync_ms_p50_before", "sync_ms_p99_before"]);
    let after = of(after, ["syncs_per_s_after", "sync_ms_p50_after", "sync_ms_p99_after"]);
    before.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_takes_some_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let raw = raw(folder.path(), Duration::from_millis(20)).unwrap();
        assert!(raw.per_s > 0.0 && !raw.us.is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
