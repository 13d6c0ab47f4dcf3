//! "Did you mean": the known word that is nearest to what was written.

/// How alike two words must be, from 0 to 1, before one is offered for the other.
const ALIKE: f64 = 0.84;

/// The word nearest to `given`, when one is near enough.
pub(crate) fn nearest<'w>(given: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let given = given.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|word| (likeness(&given, &word.to_lowercase().replace('-', "_")), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// A slip of the finger, or a beginning that is the same: `interval` for `interval_ms`.
fn likeness(a: &str, b: &str) -> f64 {
    if strsim::damerau_levenshtein(a, b) <= 1 && a.len() > 2 {
        return 1.0;
    }
    if a.len() >= 4 && b.starts_with(a) { 0.95 } else { strsim::jaro_winkler(a, b) }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_a_strange_word_finds_none() {
        let known = ["instances", "command", "health", "stop_timeout_ms", "limits"];
        for (given, meant) in [
            ("instance", Some("instances")),
            ("comand", Some("command")),
            ("Command", Some("command")),
            ("stop-timeout-ms", Some("stop_timeout_ms")),
            ("stop_timeout", Some("stop_timeout_ms")),
            ("helath", Some("health")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
    }
}
