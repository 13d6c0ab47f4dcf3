//! What a run of the cache tests comes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::suite::Test;

/// Tests that fail on purpose, and why. Whatever else fails makes the run fail.
const NAMED: &[(&str, &str)] = &[
    ("age-parse-prefix", TWO_AGES),
    ("stale-close-must-revalidate", CLOSED),
    ("stale-close-proxy-revalidate", CLOSED),
    ("stale-close-no-cache", CLOSED),
    ("stale-close-s-maxage=2", CLOSED),
    (
        "conditional-lm-fresh-no-lm",
        "the stored response is newer than If-Modified-Since says, so by RFC 9111 section 4.3.2 the answer is 200",
    ),
    ("method-POST", "answers to POST are not kept: it is passed on with its content, whoever asked before"),
    (
        "headers-store-Transfer-Encoding",
        "the answer names a transfer coding that does not exist, so where it ends nobody knows: 502 (RFC 9112 section 6.1)",
    ),
    ("partial-store-partial-reuse-partial", PART),
    ("partial-store-partial-reuse-partial-byterange", PART),
    ("partial-store-partial-reuse-partial-absent", PART),
    ("partial-store-partial-reuse-partial-suffix", PART),
    (
        "partial-store-partial-complete",
        "parts are not stored; and without a strong validator they must not be combined (RFC 9111 section 3.4)",
    ),
];

const TWO_AGES: &str = "an Age that is a list counts as stale, as the suite's seven other tests of such lists ask for";
const CLOSED: &str =
    "the suite asks for the origin's own answer although the origin closed the connection without one; ours is 502";
const PART: &str = "parts are not stored; and this one is a byte shorter than its Content-Range says";

/// The outcome of one suite.
pub(super) struct Score {
    /// Passed and all, by kind.
    counts: BTreeMap<&'static str, (usize, usize)>,
    failed: Vec<Failed>,
}

struct Failed {
    id: String,
    kind: &'static str,
    why: String,
    named: Option<&'static str>,
}

/// A test counts as passed when it and all that it depends on pass: otherwise it shows nothing.
pub(super) fn of(tests: &[Test], results: &BTreeMap<String, Value>) -> Score {
    let by_id: BTreeMap<&str, &Test> = tests.iter().map(|test| (test.id.as_str(), test)).collect();
    let mut score = Score { counts: BTreeMap::new(), failed: Vec::new() };
    for test in tests {
        let kind = match test.kind.as_str() {
            "optimal" => "optimal",
            "check" => "check",
            _ => "required",
        };
        let passed = passes(&test.id, &by_id, results);
        let (good, all) = score.counts.entry(kind).or_default();
        *good += usize::from(passed);
        *all += 1;
        if !passed {
            let why = results.get(&test.id).map_or("not run".into(), |result| match result {
                Value::Bool(true) => "what it depends on fails".to_string(),
                other => other[1].as_str().map_or_else(|| other.to_string(), String::from),
            });
            let named = NAMED.iter().find(|(id, _)| *id == test.id).map(|(_, why)| *why);
            score.failed.push(Failed { id: test.id.clone(), kind, why, named });
        }
    }
    score
}

fn passes(id: &str, tests: &BTreeMap<&str, &Test>, results: &BTreeMap<String, Value>) -> bool {
    let own = results.get(id) == Some(&Value::Bool(true));
    own && tests.get(id).is_none_or(|test| test.depends_on.iter().all(|other| passes(other, tests, results)))
}

impl Score {
    /// Failures that nobody gave a reason for; checks only inform.
    pub(super) fn unnamed(&self) -> Vec<&str> {
        let counts = |failed: &&Failed| failed.kind != "check" && failed.named.is_none();
        self.failed.iter().filter(counts).map(|failed| failed.id.as_str()).collect()
    }

    pub(super) fn print(&self, as_json: bool) {
        for Failed { id, kind, why, named } in &self.failed {
            if as_json {
                println!("{}", json!({ "test": id, "kind": kind, "why": why, "named": named }));
            } else if *kind != "check" {
                println!("fails ({kind}) {id}: {why}\n    {}", named.unwrap_or("not named"));
            }
        }
        let count = |kind| self.counts.get(kind).copied().unwrap_or_default();
        let ((required, required_all), (optimal, optimal_all)) = (count("required"), count("optimal"));
        if !as_json {
            let (yes, checks) = count("check");
            println!(
                "required {required} of {required_all}, optimal {optimal} of {optimal_all}, checks {yes} of {checks}"
            );
        }
        println!(
            "{{\"required_passed\": {required}, \"required_total\": {required_all}, \"optimal_passed\": {optimal}, \
             \"optimal_total\": {optimal_all}}}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_whose_ground_fails_does_not_count() {
        let test = |id: &str, kind: &str, on: &[&str]| Test {
            id: id.into(),
            kind: kind.into(),
            depends_on: on.iter().map(|on| (*on).to_string()).collect(),
        };
        let tests = [test("a", "check", &[]), test("b", "required", &["a"]), test("c", "optimal", &[])];
        let results = BTreeMap::from([
            ("a".to_string(), json!(["Assertion", "no"])),
            ("b".to_string(), json!(true)),
            ("c".to_string(), json!(true)),
        ]);
        let score = of(&tests, &results);
        assert_eq!(score.counts, BTreeMap::from([("check", (0, 1)), ("optimal", (1, 1)), ("required", (0, 1))]));
        assert_eq!(score.unnamed(), ["b"]);
    }
}
