//! The arguments of a command line, one after the other, with beanstalkd's leniency.

use crate::names::{JobId, TubeName, is_name_byte};

/// What is left of the line.
pub(super) struct Args<'a>(pub(super) &'a [u8]);

impl<'a> Args<'a> {
    /// Spaces, then digits; nothing else may stand before them.
    pub(super) fn u64(&mut self) -> Option<u64> {
        let text = self.0.trim_ascii_start_spaces();
        let len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(len);
        if digits.is_empty() {
            return None;
        }
        let number = digits
            .iter()
            .try_fold(0u64, |number, &digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.u64().and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn id(&mut self) -> Option<JobId> {
        self.u64().map(JobId)
    }

    /// A tube's name up to the first byte that cannot be in one.
    pub(super) fn tube(&mut self) -> Option<&'a str> {
        let text = self.0.trim_ascii_start_spaces();
        let len = text.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(text.len());
        let (name, rest) = text.split_at(len);
        self.0 = rest;
        TubeName::check(name)
    }

    /// As C's `strtoul`, which beanstalkd reads the argument of `kick` with: white space and a sign before the digits are
    /// fine, so is anything behind them, and a negative number wraps around.
    pub(super) fn strtoul(&mut self) -> Option<u64> {
        let text = self.0.trim_ascii_start();
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        if !digits.first()?.is_ascii_digit() {
            return None;
        }
        let number = Args(digits).u64()?;
        Some(if negative { number.wrapping_neg() } else { number })
    }
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    /// Without the spaces in front; other white space counts.
    fn trim_ascii_start_spaces(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != b' ').unwrap_or(self.len());
        &self[start..]
    }
}
