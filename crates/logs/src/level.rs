//! Severity, by RFC 5424 section 6.2.1, and the many ways in which programs write it.

use std::fmt;

/// How bad it is. The order is by number: the worst is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The system is unusable.
    Emergency,
    /// Somebody must act now.
    Alert,
    /// `fatal` of most libraries.
    Critical,
    /// It did not work.
    Error,
    /// It may not work for long.
    Warning,
    /// Normal, and worth being noticed.
    Notice,
    /// The ordinary course of things.
    Info,
    /// For who looks for a fault; `trace` and `verbose` are this too.
    Debug,
}

const NAMES: [(Level, &str); 8] = [
    (Level::Emergency, "emergency"),
    (Level::Alert, "alert"),
    (Level::Critical, "critical"),
    (Level::Error, "error"),
    (Level::Warning, "warning"),
    (Level::Notice, "notice"),
    (Level::Info, "info"),
    (Level::Debug, "debug"),
];

impl Level {
    /// All names, worst first, as hints show them.
    pub const NAMES: &'static str = "emergency, alert, critical, error, warning, notice, info, debug";

    /// The RFC's word for it.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// The level with the RFC's number 0 to 7.
    pub fn from_number(number: u64) -> Option<Level> {
        NAMES.get(usize::try_from(number).ok()?).map(|(level, _)| *level)
    }

    /// Reads a word as loggers write it: `WARN`, `err`, `fatal`; case does not matter.
    pub fn from_word(word: &str) -> Option<Level> {
        let mut lower = [0u8; 16];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"emergency" | b"emerg" | b"panic" => Level::Emergency,
            b"alert" => Level::Alert,
            b"critical" | b"crit" | b"fatal" => Level::Critical,
            b"error" | b"err" | b"severe" | b"eror" => Level::Error,
            b"warning" | b"warn" => Level::Warning,
            b"notice" => Level::Notice,
            b"info" | b"information" | b"informational" => Level::Info,
            b"debug" | b"trace" | b"verbose" | b"fine" | b"silly" => Level::Debug,
            _ => return None,
        })
    }

    /// Reads a number as loggers write it: 0 to 7 is RFC 5424, 10 to 60 is pino and bunyan (30 info, 40 warning, 50
    /// error, 60 fatal), in steps of ten.
    pub fn from_logger_number(number: u64) -> Option<Level> {
        match number {
            0..=7 => Level::from_number(number),
            10..=29 => Some(Level::Debug),
            30..=39 => Some(Level::Info),
            40..=49 => Some(Level::Warning),
            50..=59 => Some(Level::Error),
            60 => Some(Level::Critical),
            _ => None,
        }
    }

    /// Says whether it is `other` or worse.
    pub fn is_at_least(self, other: Level) -> bool {
        self <= other
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_read_back_from_its_name_and_number() {
        for (number, (level, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(Level::from_word(name), Some(level));
            assert_eq!(Level::from_number(number as u64), Some(level));
            assert_eq!(level as usize, number);
        }
        assert_eq!(Level::from_number(8), None);
    }

    #[test]
    fn words_and_numbers_of_loggers_are_understood() {
        let words =
            [("WARN", Level::Warning), ("Err", Level::Error), ("fatal", Level::Critical), ("TRACE", Level::Debug)];
        for (word, level) in words {
            assert_eq!(Level::from_word(word), Some(level), "{word}");
        }
        for (number, level) in [(10, Level::Debug), (30, Level::Info), (40, Level::Warning), (60, Level::Critical)] {
            assert_eq!(Level::from_logger_number(number), Some(level), "{number}");
        }
        assert_eq!(Level::from_word("a word much longer than any level"), None);
        assert_eq!(Level::from_logger_number(8), None);
        assert_eq!(Level::from_logger_number(61), None);
    }

    #[test]
    fn worse_is_at_least() {
        assert!(Level::Critical.is_at_least(Level::Error));
        assert!(Level::Error.is_at_least(Level::Error));
        assert!(!Level::Warning.is_at_least(Level::Error));
    }
}
