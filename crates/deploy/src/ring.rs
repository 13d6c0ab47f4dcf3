//! The last words of an instance: what it said before it died is most of the reason why.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::Output;

/// Lines kept.
const LINES_MAX: usize = 20;
/// Characters kept of each.
const CHARS_MAX: usize = 500;

/// The last lines of one instance; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// Adds what the instance said.
    pub(crate) fn hear(&self, said: &[Output]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for output in &said[said.len().saturating_sub(LINES_MAX)..] {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(match output {
                Output::Line(line) => String::from_utf8_lossy(&line.bytes).chars().take(CHARS_MAX).collect(),
                Output::Dropped(dropped) => format!("({} lines were dropped here)", dropped.lines),
            });
        }
    }

    /// The lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
