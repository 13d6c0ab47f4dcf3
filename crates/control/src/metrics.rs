//! Metrics in the text format of Prometheus, version 0.0.4: every family once, with its help and its type.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{self, Display, Write};

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// What the text is called over HTTP.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the numbers of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Labels of a sample: names that the code chooses, values of any text.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// A page of metrics as it grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    families: Vec<&'static str>,
}

impl Exposition {
    /// Begins a family; its samples follow at once.
    ///
    /// # Panics
    /// When there was one of this name: a page says each once.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        assert!(!self.families.contains(&name), "the family {name} is said twice");
        self.families.push(name);
        let kind = kind.word();
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: self, name }
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &'static str, kind: Kind, help: &'static str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole page.
    pub fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        self.text.write_fmt(text).unwrap_or_default();
    }
}

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, TEXT)], self.text).into_response()
    }
}

/// One family of a page.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// One number.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// One histogram. `counts` are those between the bounds, one more than there are bounds: the last is for all beyond.
    pub fn histogram(&mut self, labels: Labels<'_>, bounds_s: &[f64], counts: &[u64], sum_s: f64) -> &mut Self {
        let mut total = 0;
        for (index, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds_s.get(index).map_or_else(|| "+Inf".to_string(), f64::to_string);
            self.line("_bucket", labels, Some(&bound), total);
        }
        self.line("_sum", labels, None, sum_s);
        self.line("_count", labels, None, total);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, le: Option<&str>, value: impl Display) {
        self.page.write(format_args!("{}{suffix}", self.name));
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        for (index, (name, value)) in all.enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.page.write(format_args!("{open}{name}=\"{}\"", Escaped(value)));
        }
        let close = if labels.is_empty() && le.is_none() { "" } else { "}" };
        self.page.write(format_args!("{close} {value}\n"));
    }
}

/// A label's value, with its three special characters escaped.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Exposition::default();
        page.one("forebay_up", Kind::Gauge, "Whether it is up.", 1);
        let mut family = page.family("forebay_wait_seconds", Kind::Histogram, "How long.");
        family.histogram(&[("tube", "a \"b\"\\\n")], &[0.1, 2.5], &[3, 0, 1], 7.25);
        assert_eq!(
            page.into_text(),
            "# HELP forebay_up Whether it is up.\n# TYPE forebay_up gauge\nforebay_up 1\n\
             # HELP forebay_wait_seconds How long.\n# TYPE forebay_wait_seconds histogram\n\
             forebay_wait_seconds_bucket{tube=\"a \\\"b\\\"\\\\\\n\",le=\"0.1\"} 3\n\
             forebay_wait_seconds_bucket{tube=\"a \\\"b\\\"\\\\\\n\",le=\"2.5\"} 3\n\
             forebay_wait_seconds_bucket{tube=\"a \\\"b\\\"\\\\\\n\",le=\"+Inf\"} 4\n\
             forebay_wait_seconds_sum{tube=\"a \\\"b\\\"\\\\\\n\"} 7.25\n\
             forebay_wait_seconds_count{tube=\"a \\\"b\\\"\\\\\\n\"} 4\n"
        );
    }

    #[test]
    #[should_panic(expected = "the family forebay_up is said twice")]
    fn a_family_is_said_once() {
        let mut page = Exposition::default();
        page.one("forebay_up", Kind::Gauge, "Whether it is up.", 1);
        page.one("forebay_up", Kind::Gauge, "Whether it is up.", 1);
    }
}
