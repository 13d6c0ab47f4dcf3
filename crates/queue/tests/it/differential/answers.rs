//! What of an answer is compared.

/// Why a line is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    /// It tells of a clock.
    Time,
    /// It tells of a process, its machine or its version.
    Process,
    /// It tells of the files of a log, which theirs does not have here.
    Log,
    /// The length of a text with such lines in it.
    Length,
}

const EXCEPTIONS: [(&str, Exception); 19] = [
    ("OK ", Exception::Length),
    ("age:", Exception::Time),
    ("time-left:", Exception::Time),
    ("pause-time-left:", Exception::Time),
    ("uptime:", Exception::Time),
    ("rusage-utime:", Exception::Time),
    ("rusage-stime:", Exception::Time),
    ("pid:", Exception::Process),
    ("version:", Exception::Process),
    ("id: \"", Exception::Process),
    ("hostname:", Exception::Process),
    ("os:", Exception::Process),
    ("platform:", Exception::Process),
    ("file:", Exception::Log),
    ("binlog-oldest-index:", Exception::Log),
    ("binlog-current-index:", Exception::Log),
    ("binlog-records-migrated:", Exception::Log),
    ("binlog-records-written:", Exception::Log),
    ("binlog-max-size:", Exception::Log),
];

/// Answers without the lines that have an exception. 1.13 puts texts in quotes where Debian's 1.12 does not.
pub(super) fn comparable(answers: &[String]) -> Vec<String> {
    answers.iter().map(|answer| lines(answer)).collect()
}

fn lines(answer: &str) -> String {
    let is_stats = answer.starts_with("OK ");
    let skip = |line: &str| is_stats && (is_process_id(line) || exception(line).is_some());
    let kept: Vec<&str> = answer.lines().filter(|line| !skip(line)).collect();
    if is_stats { kept.join("\n").replace('"', "") } else { answer.to_owned() }
}

fn exception(line: &str) -> Option<Exception> {
    EXCEPTIONS.iter().find(|(beginning, _)| line.starts_with(beginning)).map(|(_, exception)| *exception)
}

/// `id` of `stats` is 16 hex digits; that of `stats-job` is compared.
fn is_process_id(line: &str) -> bool {
    line.strip_prefix("id: ").is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[test]
fn only_lines_with_an_exception_are_left_out() {
    let stats = "OK 99\n---\nid: 7\ntube: \"a\"\nage: 3\nid: 0123456789abcdef\nbinlog-max-size: 5\nkicks: 0\n";
    assert_eq!(comparable(&[stats.into(), "INSERTED 3".into()]), ["---\nid: 7\ntube: a\nkicks: 0", "INSERTED 3"]);
    assert_eq!(exception("age: 3"), Some(Exception::Time));
}
