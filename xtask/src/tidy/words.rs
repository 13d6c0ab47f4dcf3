//! Words that do not occur, and what to write instead.

use crate::rust::{Source, line_of};
use crate::tidy::Fault;

/// Where a rule holds.
enum Where {
    /// Code that ships, of these crates only.
    ShippedOf(&'static [&'static str]),
    /// Code that ships, of all crates but these.
    ShippedBut(&'static [&'static str]),
    /// All code but that of these crates or files.
    CodeBut(&'static [&'static str]),
    Comments,
}

struct Rule {
    /// Any of these is a fault.
    patterns: &'static [&'static str],
    holds: Where,
    /// Whether it is none at this place after all.
    excused: fn(&Source, usize) -> bool,
    instead: &'static str,
}

const STORES: &[&str] = &["crates/wal/", "crates/queue/", "crates/logs/", "crates/deploy/"];

const RULES: &[Rule] = &[
    Rule {
        patterns: &["let _ =", ".ok();"],
        holds: Where::ShippedOf(STORES),
        excused: is_kept_or_sent,
        instead: "a store never drops a result: handle it, or return it",
    },
    Rule {
        patterns: &["Instant::now(", "SystemTime::now("],
        holds: Where::ShippedBut(&[
            "crates/stdx/src/clock.rs",
            "crates/runtime/",
            "crates/testkit/",
            "benchsuite/",
            "xtask/",
        ]),
        excused: has_the_runtimes_clock,
        instead: "only `stdx::clock::Clock` tells the time",
    },
    Rule {
        patterns: &["println!("],
        holds: Where::ShippedBut(&["crates/forebay/", "benchsuite/", "xtask/"]),
        excused: never,
        instead: "only the binary prints; a plane returns or records",
    },
    Rule {
        patterns: &["allow(dead_code)"],
        holds: Where::CodeBut(&[]),
        excused: never,
        instead: "delete what nobody calls",
    },
    Rule {
        patterns: &["todo!(", "unimplemented!(", "dbg!("],
        holds: Where::CodeBut(&[]),
        excused: never,
        instead: "finish it first",
    },
    Rule {
        patterns: &["allow(unsafe_code)"],
        holds: Where::CodeBut(&["crates/runtime/", "crates/net/", "crates/stdx/src/io"]),
        excused: never,
        instead: "`unsafe` lives in runtime, net and stdx::io only",
    },
    Rule {
        patterns: &["TODO", "FIXME", "XXX", "HACK"],
        holds: Where::Comments,
        excused: never,
        instead: "do it, or file an issue",
    },
    Rule {
        patterns: &["// ---", "// ===", "// ***", "// ###", "//////", "// ~~~"],
        holds: Where::Comments,
        excused: never,
        instead: "no banners: a second subject is a second file",
    },
];

fn never(_: &Source, _: usize) -> bool {
    false
}

/// `let x = y.ok();` keeps what it gets, and a message to somebody who has gone is no loss of data.
fn is_kept_or_sent(source: &Source, at: usize) -> bool {
    let before = &source.code[..at];
    let statement = &before[before.rfind([';', '{', '}']).map_or(0, |end| end + 1)..];
    statement.contains(" =") || statement.contains("return ") || statement.contains("send(")
}

/// Tokio's clock is one that a test can stop.
fn has_the_runtimes_clock(source: &Source, at: usize) -> bool {
    let qualified = source.code[..at].ends_with("tokio::time::");
    qualified || (source.code.contains("use tokio::time::") && !source.code[at..].starts_with("SystemTime"))
}

/// Checks one file against every rule.
pub(crate) fn check(source: &Source) -> Vec<Fault> {
    RULES.iter().flat_map(|rule| broken(rule, source)).collect()
}

fn broken(rule: &Rule, source: &Source) -> Vec<Fault> {
    let of = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    let text = match rule.holds {
        Where::ShippedOf(places) if of(places) => &source.shipped,
        Where::ShippedBut(places) if !of(places) => &source.shipped,
        Where::CodeBut(places) if !of(places) => &source.code,
        Where::Comments => &source.comments,
        _ => return Vec::new(),
    };
    let places = |pattern: &'static str| text.match_indices(pattern).map(move |(at, _)| (pattern, at));
    let found = rule.patterns.iter().flat_map(|pattern| places(pattern));
    found
        .filter(|(_, at)| !(rule.excused)(source, *at))
        .map(|(pattern, at)| {
            Fault::new(&source.path, line_of(text, at), format!("`{}`: {}", pattern.trim(), rule.instead))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn faults(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn a_store_drops_no_result() {
        let text =
            "fn f() {\n    let _ = g();\n    h().ok();\n}\n#[cfg(test)]\nmod tests { fn t() { let _ = g(); } }\n";
        assert_eq!(faults("crates/wal/src/lib.rs", text), [2, 3]);
        assert_eq!(faults("crates/router/src/lib.rs", text), NONE);
    }

    #[test]
    fn a_result_that_is_kept_is_not_dropped_and_a_reader_who_has_gone_is_no_loss() {
        assert_eq!(faults("crates/queue/src/a.rs", "fn f() {\n let x =\n  g(1)\n  .ok();\n to.send(x).ok();\n}"), NONE);
        assert_eq!(faults("crates/queue/src/a.rs", "fn f() {\n let x = g(1);\n disk.sync()\n.ok();\n}"), [4]);
    }

    #[test]
    fn only_the_clock_tells_the_time() {
        let text = "fn f() { Instant::now(); }";
        assert_eq!(faults("crates/queue/src/serve.rs", text), [1]);
        assert_eq!(faults("crates/queue/src/serve.rs", "use tokio::time::Instant;\nfn f() { Instant::now(); }"), NONE);
        assert_eq!(faults("crates/stdx/src/clock.rs", text), NONE);
        assert_eq!(faults("crates/queue/tests/it/main.rs", text), NONE);
    }

    #[test]
    fn nothing_unfinished_and_nothing_dead() {
        assert_eq!(
            faults("crates/queue/src/a.rs", "#[allow(dead_code)]\nfn f() { todo!() }\n// TODO: more\n"),
            [1, 2, 3]
        );
        assert_eq!(faults("crates/queue/src/a.rs", "fn f() { g(\"todo!() TODO dbg!(\") }"), NONE);
    }

    #[test]
    fn unsafe_has_its_places() {
        assert_eq!(faults("crates/runtime/src/init.rs", "#![allow(unsafe_code)]"), NONE);
        assert_eq!(faults("crates/queue/src/a.rs", "#![allow(unsafe_code)]"), [1]);
    }

    #[test]
    fn a_comment_is_no_banner() {
        assert_eq!(faults("crates/queue/src/a.rs", "// ------ Reserve ------\n// Reserve - and release.\n"), [1]);
    }
}
