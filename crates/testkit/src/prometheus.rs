//! A strict reader of Prometheus' text format, 0.0.4: what `promtool check metrics` refuses is refused, and what it only
//! warns of is too.

use std::collections::{BTreeMap, BTreeSet};

/// One number, with its name and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, with a histogram's suffix.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

/// The samples of a page.
///
/// # Panics
/// At the first line that is not as it should be.
pub fn parse(page: &str) -> Vec<Sample> {
    assert!(page.is_empty() || page.ends_with('\n'), "the last line has no end");
    let mut reader = Reader::default();
    for line in page.lines() {
        reader.line(line);
    }
    reader.end_family();
    reader.samples
}

/// The value of the sample with this name and at least these labels.
///
/// # Panics
/// When there is not exactly one.
pub fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&Sample| {
        let given = |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|label| label == value);
        sample.name == name && labels.iter().all(given)
    };
    let found: Vec<&Sample> = samples.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].value
}

#[derive(Default)]
struct Reader {
    samples: Vec<Sample>,
    families: BTreeSet<String>,
    helped: Option<String>,
    family: Option<(String, String)>,
    first: usize,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap_or_else(|| panic!("help without words: {line}"));
            self.end_family();
            assert!(!text.trim().is_empty() && is_name(name), "{line}");
            assert!(self.families.insert(name.into()), "{name} is said twice");
            self.helped = Some(name.into());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("type without a kind: {line}"));
            assert_eq!(self.helped.take().as_deref(), Some(name), "a type follows its help: {line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "counters end in _total: {line}");
            self.family = Some((name.into(), kind.into()));
            self.first = self.samples.len();
        } else {
            let sample = sample(line);
            let (name, kind) = self.family.as_ref().unwrap_or_else(|| panic!("a sample without a family: {line}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            let own = sample.name.strip_prefix(name.as_str()).is_some_and(|suffix| suffixes.contains(&suffix));
            assert!(own, "{line} among the samples of {name}");
            let same = |one: &Sample| one.name == sample.name && one.labels == sample.labels;
            assert!(!self.samples[self.first..].iter().any(same), "twice: {line}");
            assert!(kind != "counter" || sample.value >= 0.0, "{line}");
            self.samples.push(sample);
        }
    }

    fn end_family(&mut self) {
        if let Some((name, kind)) = self.family.take()
            && kind == "histogram"
        {
            check_histograms(&name, &self.samples[self.first..]);
        }
    }
}

/// Buckets grow with their bounds, the last is `+Inf` and says the same as the count, and there is a sum.
fn check_histograms(name: &str, samples: &[Sample]) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        series.entry(labels).or_default().push(sample);
    }
    for (labels, samples) in series {
        let buckets: Vec<(f64, f64)> = samples
            .iter()
            .filter(|sample| sample.name.ends_with("_bucket"))
            .map(|sample| (number(&sample.labels["le"]), sample.value))
            .collect();
        let grows = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        assert!(grows, "the buckets of {name} {labels:?}: {buckets:?}");
        let one = |suffix: &str| samples.iter().find(|sample| sample.name == format!("{name}{suffix}")).unwrap().value;
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, one("_count"))), "{name} {labels:?}");
        assert!(one("_sum") >= 0.0);
    }
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("labels: {line}"));
            let (value, after) = quoted(value).unwrap_or_else(|| panic!("no closing quote: {line}"));
            assert!(is_name(label) && !label.contains(':') && !label.starts_with("__"), "{line}");
            assert!(labels.insert(label.to_string(), value).is_none(), "a label twice: {line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("no closing brace: {line}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space before the value: {line}"));
    Sample { name: name.into(), labels, value: number(value) }
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        text => {
            assert!(!text.contains(char::is_whitespace), "one number and no time: {text}");
            text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
        }
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "# HELP a_total How many.\n# TYPE a_total counter\na_total{x=\"q\\\"\\n\"} 3\na_total{x=\"r\"} 1e3\n";

    #[test]
    fn a_good_page_is_read() {
        let samples = parse(GOOD);
        assert_eq!(value(&samples, "a_total", &[("x", "q\"\n")]), 3.0);
        assert_eq!(samples.len(), 2);
    }

    #[test]
    fn slips_are_found() {
        for (from, to) in [
            ("# TYPE a_total counter\n", ""),
            ("counter", "gauge"),
            ("x=\"r\"", "x=\"q\\\"\\n\""),
            ("\"r\"} 1e3", "\"r\"}1e3"),
            ("\"r\"} 1e3", "\"r\"} 1e3 17"),
            ("\"r\"} 1e3", "\"r\" 1e3"),
            ("a_total{x=\"r\"}", "b_total{x=\"r\"}"),
            ("1e3\n", "1e3"),
            ("1e3", "many"),
        ] {
            let page = GOOD.replace(from, to);
            assert!(std::panic::catch_unwind(|| parse(&page)).is_err(), "{page}");
        }
    }
}
