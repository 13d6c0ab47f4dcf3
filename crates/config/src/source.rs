//! A text with a name: from byte offsets to lines, columns and excerpts.

use std::ops::Range;

use crate::error::{Excerpt, Place};

/// Characters of a source line that an excerpt shows.
const EXCERPT_MAX: usize = 100;

/// The text of a file and the name by which the user knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'t> {
    pub(crate) name: &'t str,
    pub(crate) text: &'t str,
}

impl Source<'_> {
    /// The place of a byte range, or the file as a whole.
    pub(crate) fn place(&self, span: Option<&Range<usize>>) -> Place {
        match span {
            Some(span) => {
                let (line, begin) = self.line_of(span.start);
                let column = self.text[begin..self.boundary(span.start)].chars().count() + 1;
                Place::Line { file: self.name.into(), line, column }
            }
            None => Place::File(self.name.into()),
        }
    }

    /// The first line of a byte range with the part of it that is meant.
    pub(crate) fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        let (line, begin) = self.line_of(span.start);
        let end = self.text[begin..].find('\n').map_or(self.text.len(), |n| begin + n);
        let whole = self.text[begin..end].trim_end_matches('\r');
        let before = self.text[begin..self.boundary(span.start)].chars().count();
        if whole.trim().is_empty() || before >= EXCERPT_MAX {
            return None;
        }
        let text: String = whole.chars().take(EXCERPT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let meant = &self.text[self.boundary(span.start)..self.boundary(span.end.min(begin + whole.len()))];
        let length = meant.trim_end().chars().count().clamp(1, (EXCERPT_MAX - before).max(1));
        Some(Excerpt { line, text, begin: before, length })
    }

    /// The line's number from 1 and the offset of its first byte.
    pub(crate) fn line_of(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.boundary(offset)];
        let begin = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, begin)
    }

    /// The nearest character boundary at or before an offset, so that no span can split a character.
    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}
