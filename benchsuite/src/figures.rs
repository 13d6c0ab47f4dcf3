//! Figures as they are printed: one JSON object per line, or tables.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, and for `benchsuite/README.md`.
    Table,
    /// For machines.
    Json,
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// `router`, `queue`.
    pub bench: &'static str,
    /// `small`, `put-64`.
    pub scenario: String,
    /// What else was varied: `log-off`.
    pub variant: String,
    /// `forebay` or a peer.
    pub subject: String,
    /// The unit is its ending: `cpu_us_per_request`.
    pub metric: &'static str,
    /// The figure.
    pub value: f64,
    /// Forebay's value divided by each peer's; empty for the peers themselves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ratio: BTreeMap<String, f64>,
}

/// The subject that the others are peers of.
pub const FOREBAY: &str = "forebay";

/// Fills in Forebay's ratios to its peers, within each scenario, variant and metric.
pub fn compare(figures: &mut [Figure]) {
    let others = figures.to_vec();
    let alike = |a: &Figure, b: &Figure| a.scenario == b.scenario && a.variant == b.variant && a.metric == b.metric;
    for figure in figures.iter_mut().filter(|figure| figure.subject == FOREBAY) {
        let peers = others.iter().filter(|other| other.subject != FOREBAY && alike(figure, other) && other.value > 0.0);
        figure.ratio = peers.map(|peer| (peer.subject.clone(), round(figure.value / peer.value, 3))).collect();
    }
}

/// Prints figures, compared.
///
/// # Errors
/// When they cannot be written as JSON, which a number that is none would cause.
pub fn print(mut figures: Vec<Figure>, format: Format) -> Result<()> {
    compare(&mut figures);
    match format {
        Format::Json => {
            for figure in &figures {
                println!("{}", serde_json::to_string(figure).context("a figure that JSON cannot say")?);
            }
        }
        Format::Table => println!("{}", table(&rows(&figures))),
    }
    Ok(())
}

/// `value` with this many digits behind the point.
pub fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// One row per scenario, variant and subject, one column per metric.
fn rows(figures: &[Figure]) -> Vec<Vec<String>> {
    let mut metrics: Vec<&str> = Vec::new();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for figure in figures {
        if !metrics.contains(&figure.metric) {
            metrics.push(figure.metric);
        }
    }
    for figure in figures {
        let name = format!("{}\u{1f}{}\u{1f}{}", figure.scenario, figure.variant, figure.subject);
        let at = rows.iter().position(|(row, _)| *row == name).unwrap_or_else(|| {
            rows.push((name, vec![String::new(); metrics.len() + 1]));
            rows.len() - 1
        });
        let column = metrics.iter().position(|metric| *metric == figure.metric).unwrap_or_default();
        rows[at].1[column] = figure.value.to_string();
        // The first metric is the one that Forebay is judged by.
        if column == 0 {
            let ratios = figure.ratio.iter().map(|(peer, ratio)| format!("{ratio:.2} x {peer}"));
            rows[at].1[metrics.len()] = ratios.collect::<Vec<_>>().join(", ");
        }
    }
    let mut head: Vec<String> = ["scenario", "variant", "subject"].map(String::from).to_vec();
    head.extend(metrics.iter().map(|metric| (*metric).to_string()));
    head.push("forebay is".into());
    let body = rows.into_iter().map(|(name, cells)| name.split('\u{1f}').map(String::from).chain(cells).collect());
    std::iter::once(head).chain(body).collect()
}

/// A Markdown table; the first row is its head.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        if n == 0 {
            let rule = widths.iter().map(|width| "-".repeat(*width));
            text.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(subject: &str, metric: &'static str, value: f64) -> Figure {
        Figure {
            bench: "router",
            scenario: "small".into(),
            variant: "log-off".into(),
            subject: subject.into(),
            metric,
            value,
            ratio: BTreeMap::new(),
        }
    }

    #[test]
    fn forebay_is_compared_with_its_peers() {
        let mut figures =
            [figure("forebay", "cpu_us_per_request", 18.9), figure("haproxy", "cpu_us_per_request", 18.1)];
        compare(&mut figures);
        assert_eq!(
            serde_json::to_string(&figures[0]).unwrap(),
            r#"{"bench":"router","scenario":"small","variant":"log-off","subject":"forebay","metric":"cpu_us_per_request","value":18.9,"ratio":{"haproxy":1.044}}"#
        );
        assert_eq!(
            serde_json::to_string(&figures[1]).unwrap(),
            r#"{"bench":"router","scenario":"small","variant":"log-off","subject":"haproxy","metric":"cpu_us_per_request","value":18.1}"#
        );
    }

    #[test]
    fn a_table_has_a_row_for_each_subject() {
        let mut figures = vec![
            figure("forebay", "cpu_us_per_request", 18.9),
            figure("forebay", "requests_per_s", 9000.0),
            figure("haproxy", "cpu_us_per_request", 18.0),
        ];
        compare(&mut figures);
        assert_eq!(
            table(&rows(&figures)),
            "\
| scenario | variant | subject | cpu_us_per_request | requests_per_s | forebay is     |
| -------- | ------- | ------- | ------------------ | -------------- | -------------- |
| small    | log-off | forebay | 18.9               | 9000           | 1.05 x haproxy |
| small    | log-off | haproxy | 18                 |                |                |
"
        );
    }
}
