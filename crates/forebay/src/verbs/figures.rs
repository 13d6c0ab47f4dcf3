//! `forebay routes` and `forebay upstreams`: what the router is doing, measured between two looks.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use control::client::Client;
use control::error::ApiError;
use control::wire::Listing;
use control::wire::figures::{EndpointRow, HistogramRow, RouteRow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::clock::{Clock, Mono, SystemClock};

use crate::args::{Global, LiveArgs};
use crate::output::{self, Done};

/// Clears a terminal and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// A row that is measured by comparing it with an earlier one.
trait Measured: DeserializeOwned + Serialize + Clone {
    /// Where the rows are.
    const PATH: &'static str;
    /// The table's columns.
    const HEADER: &'static [&'static str];
    /// What tells one row from another.
    fn key(&self) -> String;
    /// How many ended how.
    fn ends(&self) -> &BTreeMap<String, u64>;
    /// Whether an end is a failure.
    fn is_failure(end: &str) -> bool;
    /// How long they took.
    fn latency(&self) -> &HistogramRow;
    /// The table's cells.
    fn cells(&self, now: &Now) -> Vec<String>;
}

/// What happened between two looks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Now {
    /// Seconds between them.
    window_s: f64,
    /// Requests, or tries, per second.
    rate_per_s: f64,
    /// Half of them took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_us: Option<u64>,
    /// 99 of 100 took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<u64>,
    /// Percent of them that failed.
    error_percent: f64,
}

/// A row, and what happened of late.
#[derive(Debug, Serialize)]
struct Live<R> {
    #[serde(flatten)]
    row: R,
    now: Now,
}

pub(super) async fn routes(global: &Global, args: LiveArgs) -> Done {
    show::<RouteRow>(global, args).await
}

pub(super) async fn upstreams(global: &Global, args: LiveArgs) -> Done {
    show::<EndpointRow>(global, args).await
}

/// Looks, waits, looks again and says what happened in between; once, or until nobody reads it any more.
async fn show<R: Measured>(global: &Global, args: LiveArgs) -> Done {
    let client = super::client(global)?;
    let clock = SystemClock::new();
    let mut before = look::<R>(&client, &clock).await?;
    loop {
        tokio::time::sleep(args.window).await;
        let after = look::<R>(&client, &clock).await?;
        print(&compare(&before, &after), global.json, args.watch)?;
        if !args.watch {
            return Ok(());
        }
        before = after;
    }
}

struct Look<R> {
    at: Mono,
    rows: Vec<R>,
}

async fn look<R: Measured>(client: &Client, clock: &SystemClock) -> Result<Look<R>, ApiError> {
    let rows: Listing<R> = client.get(R::PATH).await?;
    Ok(Look { at: clock.mono(), rows: rows.items })
}

fn compare<R: Measured>(before: &Look<R>, after: &Look<R>) -> Vec<Live<R>> {
    let earlier: BTreeMap<String, &R> = before.rows.iter().map(|row| (row.key(), row)).collect();
    let window = after.at.since(before.at);
    let live = |row: &R| Live { row: row.clone(), now: now(earlier.get(&row.key()).copied(), row, window) };
    after.rows.iter().map(live).collect()
}

/// What happened to a row; one that was not there before, or whose counts began anew, has all of it to show.
fn now<R: Measured>(before: Option<&R>, after: &R, window: Duration) -> Now {
    let sum = |row: &R, which: fn(&str) -> bool| -> u64 {
        row.ends().iter().filter(|(end, _)| which(end)).map(|(_, count)| count).sum()
    };
    let grown = |which: fn(&str) -> bool| {
        let (now, then) = (sum(after, which), before.map_or(0, |row| sum(row, which)));
        now.checked_sub(then).unwrap_or(now) as f64
    };
    let all = grown(|_| true);
    let latency = before.map_or_else(|| after.latency().clone(), |row| after.latency().since(row.latency()));
    Now {
        window_s: window.as_secs_f64(),
        rate_per_s: all / window.as_secs_f64().max(1e-3),
        p50_us: latency.quantile_us(0.5),
        p99_us: latency.quantile_us(0.99),
        error_percent: if all > 0.0 { 100.0 * grown(R::is_failure) / all } else { 0.0 },
    }
}

/// A table, cleared before where it is watched on a terminal; for machines one listing, or one object a row and look.
fn print<R: Measured>(rows: &[Live<R>], json: bool, watch: bool) -> io::Result<()> {
    if json && watch {
        return rows.iter().try_for_each(output::json_line);
    }
    if json {
        return output::json_line(&Listing::new(rows.iter().collect()));
    }
    if watch && io::stdout().is_terminal() {
        output::line(CLEAR)?;
    }
    output::table(R::HEADER, rows.iter().map(|live| live.row.cells(&live.now)))
}

impl Measured for RouteRow {
    const PATH: &'static str = "/v1/router/routes";
    const HEADER: &'static [&'static str] =
        &["route", "upstream", "req/s", "p50", "p99", "errors", "extra", "breaker", "limit", "faults"];

    fn key(&self) -> String {
        self.route.clone()
    }

    fn ends(&self) -> &BTreeMap<String, u64> {
        &self.answered
    }

    fn is_failure(end: &str) -> bool {
        end == "5xx"
    }

    fn latency(&self) -> &HistogramRow {
        &self.latency
    }

    fn cells(&self, now: &Now) -> Vec<String> {
        let breaker = match &self.breaker_by_hand {
            _ if self.maintenance => "maintenance".into(),
            Some(set) => format!("{set} by hand"),
            None => self.breaker.clone(),
        };
        let limit = self
            .limiter
            .as_ref()
            .map_or_else(|| "-".into(), |limiter| format!("{}/{} +{}", limiter.in_use, limiter.limit, limiter.waiting));
        vec![
            self.route.clone(),
            self.upstream.clone(),
            format!("{:.1}", now.rate_per_s),
            micros(now.p50_us),
            micros(now.p99_us),
            format!("{:.1}%", now.error_percent),
            (self.retries + self.hedges).to_string(),
            breaker,
            limit,
            self.faults.to_string(),
        ]
    }
}

impl Measured for EndpointRow {
    const PATH: &'static str = "/v1/router/upstreams";
    const HEADER: &'static [&'static str] = &[
        "upstream",
        "endpoint",
        "instance",
        "state",
        "health",
        "in flight",
        "tries/s",
        "p50",
        "p99",
        "failed",
        "expected",
    ];

    fn key(&self) -> String {
        format!("{} {} {:?}", self.upstream, self.endpoint, self.release)
    }

    fn ends(&self) -> &BTreeMap<String, u64> {
        &self.tries
    }

    fn is_failure(end: &str) -> bool {
        !["1xx", "2xx", "3xx", "4xx", "cancelled", "abandoned"].contains(&end)
    }

    fn latency(&self) -> &HistogramRow {
        &self.latency
    }

    fn cells(&self, now: &Now) -> Vec<String> {
        vec![
            self.upstream.clone(),
            self.endpoint.clone(),
            self.instance.clone().unwrap_or_else(|| "-".into()),
            self.state.clone(),
            match self.checked_s_ago {
                Some(age) if self.unchecked => format!("{} (unchecked for {})", self.health, output::ago(age)),
                _ => self.health.clone(),
            },
            self.in_flight.to_string(),
            format!("{:.1}", now.rate_per_s),
            micros(now.p50_us),
            micros(now.p99_us),
            format!("{:.1}%", now.error_percent),
            micros((self.expected_us > 0).then_some(self.expected_us)),
        ]
    }
}

/// `1.2 ms`, `340 ms`, `2.1 s`.
fn micros(us: Option<u64>) -> String {
    match us {
        None => "-".into(),
        Some(us) if us < 100_000 => format!("{:.1} ms", us as f64 / 1e3),
        Some(us) if us < 1_000_000 => format!("{} ms", us / 1_000),
        Some(us) => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(good: u64, bad: u64, counts: [u64; 3]) -> EndpointRow {
        let tries = BTreeMap::from([("2xx".to_string(), good), ("died".to_string(), bad)]);
        let latency = HistogramRow { bounds_us: vec![1_000, 10_000], counts: counts.to_vec(), sum_us: 0 };
        EndpointRow {
            upstream: "web".into(),
            endpoint: "127.0.0.1:1".into(),
            instance: None,
            release: None,
            state: "up".into(),
            health: "healthy".into(),
            checked_s_ago: None,
            unchecked: false,
            weight: 1,
            priority: 0,
            in_flight: 0,
            expected_us: 0,
            tries,
            latency,
        }
    }

    #[test]
    fn what_happened_is_the_difference_of_two_looks() {
        let (before, after) = (row(100, 0, [100, 0, 0]), row(130, 10, [100, 30, 0]));
        let now = now(Some(&before), &after, Duration::from_secs(2));
        assert_eq!((now.rate_per_s, now.error_percent), (20.0, 25.0));
        assert_eq!((now.p50_us, now.p99_us), (Some(5_500), Some(9_910)));
    }

    #[test]
    fn a_row_that_is_new_or_began_anew_shows_all_it_has() {
        let after = row(10, 0, [10, 0, 0]);
        assert_eq!(now(None, &after, Duration::from_secs(1)).rate_per_s, 10.0);
        assert_eq!(now(Some(&row(500, 0, [500, 0, 0])), &after, Duration::from_secs(1)).rate_per_s, 10.0);
        assert_eq!(now(Some(&after), &after, Duration::from_secs(1)).p99_us, None);
    }

    #[test]
    fn times_are_said_in_few_digits() {
        assert_eq!([None, Some(340), Some(340_000), Some(2_100_000)].map(micros), ["-", "0.3 ms", "340 ms", "2.1 s"]);
    }
}
